/* hilum: learns to tell cancerous from healthy lungs on CT, and says honestly how well it does so.
 *
 * For research only. hilum is not a medical device and never claims to diagnose.
 *
 * The manual of libhilum is this header. Conventions that hold for every function:
 *
 * - Errors. A function that can fail returns enum hilum_status, HILUM_OK (0) on success. The last argument, a
 *   struct hilum_error the caller owns, receives the code and one line of text naming the file or option and the
 *   reason; it may be NULL. On failure no output argument has been written. The library never prints, exits or aborts
 *   on bad input, and no message holds a patient's name or id.
 * - Ownership. A const pointer is borrowed for the duration of the call unless said otherwise. Through a pointer to
 *   pointer (**out) the caller receives an object that it gives back to the function named beside it.
 * - Shapes are N, D, H, W, C: batch, depth, height, width, channels, channels last. A 2-D image has D = 1.
 * - Threads. A loaded model is immutable and may be shared. A session belongs to one thread at a time.
 * - Text is UTF-8. A NULL string in an options structure means the default.
 */
#ifndef HILUM_H
#define HILUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(HILUM_BUILD)
#define HILUM_API __attribute__((visibility("default")))
#else
#define HILUM_API
#endif

/* ---- version and errors ------------------------------------------------------------------------------------- */

/* "0.1.0" */
HILUM_API const char *hilum_version(void);

enum hilum_status {
	HILUM_OK = 0,
	HILUM_ERROR_ARGUMENT,    /* an option or argument is wrong: the caller's mistake */
	HILUM_ERROR_MEMORY,      /* the system gave no memory */
	HILUM_ERROR_IO,          /* a file could not be opened, read or written */
	HILUM_ERROR_FORMAT,      /* a file is damaged or is not what it claims to be */
	HILUM_ERROR_LIMIT,       /* an input exceeds a limit on pixels, bytes or count */
	HILUM_ERROR_UNSUPPORTED, /* sound input of a kind hilum does not handle */
	HILUM_ERROR_DATA,        /* a data set that cannot be used: one class only, a group on two sides, ... */
	HILUM_ERROR_STOPPED,     /* the caller asked to stop; what was asked to be saved is saved */
	HILUM_ERROR_INTERNAL,    /* a defect in hilum */
	HILUM_ERROR_REFUSED,     /* a scan that the model has no answer for: not a chest CT */
	HILUM_STATUS_COUNT
};

struct hilum_error {
	enum hilum_status code;
	char message[512];
};

/* "ok", "bad argument", "out of memory", ...; never NULL. */
HILUM_API const char *hilum_status_name(enum hilum_status status);

/* ---- messages ------------------------------------------------------------------------------------------------ */

enum hilum_level { HILUM_LOG_DEBUG, HILUM_LOG_INFO, HILUM_LOG_WARNING };

/* Called with one line without a newline, possibly from several threads at once. */
typedef void hilum_log_function(void *context, enum hilum_level level, const char *line);

/* Where the library's messages go from now on; NULL (the default) drops them. Not thread-safe: set once, early. */
HILUM_API void hilum_log_to(hilum_log_function *function, void *context);

/* ---- untrusted files ------------------------------------------------------------------------------------------ */

/* Files are read in child processes that can do nothing else, so that a hostile one cannot crash or enter the caller's;
 * see docs/decisions/0011. The first use forks once: call hilum_sandbox(true) early in a program that will have much
 * memory. false reads in this process, for programs that must not have children; so does HILUM_SANDBOX=off in the
 * environment, where this function is not called. */
HILUM_API void hilum_sandbox(bool on);

/* ---- option tables ------------------------------------------------------------------------------------------- *
 * One table describes the members of a structure: names, defaults, ranges and help. It drives the parsing of command
 * lines and of architecture text, printing, range errors and the generated reference pages. */

enum hilum_option_kind {
	HILUM_OPTION_FLAG,   /* bool */
	HILUM_OPTION_INT,    /* int64_t, from minimum to maximum; both 0: any (so for the others) */
	HILUM_OPTION_REAL,   /* double, from minimum to maximum */
	HILUM_OPTION_TEXT,   /* const char *, borrowed from the text that was parsed (argv, a table's default) */
	HILUM_OPTION_CHOICE, /* int, index into choices */
	HILUM_OPTION_SIZES   /* struct hilum_sizes, each from minimum to maximum, written 3 or 3x3x3 or 32,64,128 */
};

#define HILUM_SIZES_MAX 16
struct hilum_sizes {
	int32_t count;
	int32_t size[HILUM_SIZES_MAX];
};

struct hilum_option {
	const char *name; /* NULL ends the table */
	enum hilum_option_kind kind;
	size_t offset; /* of the member */
	double minimum, maximum;
	const char *initial;        /* the default as text; NULL: zero, false or NULL */
	const char *const *choices; /* NULL-terminated, for HILUM_OPTION_CHOICE */
	const char *value;          /* what the help calls the value: "N", "FILE" */
	const char *help;           /* one sentence without a full stop */
};

/* Sets every member to its default. */
HILUM_API void hilum_options_init(const struct hilum_option *table, void *object);

/* Parses one value into its member. A flag takes NULL, "true" or "false". */
HILUM_API enum hilum_status hilum_option_set(const struct hilum_option *table, void *object, const char *name,
                                             const char *value, struct hilum_error *error);

/* Writes a member as the text that hilum_option_set reads back, into a buffer of size bytes; false if it does not fit.
 */
HILUM_API bool hilum_option_get(const struct hilum_option *option, const void *object, char *text, size_t size);

/* The entry of that name, or NULL. */
HILUM_API const struct hilum_option *hilum_option_find(const struct hilum_option *table, const char *name);

/* ---- phantoms: synthetic chest CT ------------------------------------------------------------------------------ */

struct hilum_phantom_options {
	const char *directory; /* made if missing; receives normal/, nodule/ and truth.csv */
	int64_t cases;         /* images or volumes, half of them with a lesion */
	int64_t seed;
	int64_t size; /* pixels a side */
	int format;   /* 0 PNG (8-bit grey, lung window); 16-bit Hounsfield units: 1 TIFF, 2 DICOM, 3 NIfTI */
	bool volume;  /* whole chests instead of axial slices: DICOM series or NIfTI */
	int64_t slices;
	double spacing;     /* mm from slice to slice */
	int encoding;       /* of DICOM: 0 explicit little endian; the others as the option's choices */
	int order;          /* of a series' names: 0 from the feet up, 1 from the head down, 2 shuffled */
	double tilt;        /* of a series' gantry, degrees */
	const char *faults; /* of a series: "gap,duplicate"; NULL: none */
};

/* All but directory, which is set by the caller. */
HILUM_API extern const struct hilum_option hilum_phantom_option_table[];

/* Draws the images and truth.csv
 * (path,label,patient,seed,center_x,center_y,diameter_px,diameter_mm,margin,density,side; of volumes
 * path,label,patient,seed,center_x,center_y,center_z,diameter_mm,height_mm,margin,density,side, centers in mm of the
 * patient: left, posterior, superior). Same options, same bytes.
 * An earlier set in the directory is replaced; it is known by a truth.csv with such a header. Any other directory that
 * is not empty is HILUM_ERROR_ARGUMENT, and nothing in it is touched: so is what a run leaves that was killed before it
 * wrote truth.csv, which the caller has to remove. */
HILUM_API enum hilum_status hilum_phantom_write(const struct hilum_phantom_options *options, struct hilum_error *error);

/* ---- training ------------------------------------------------------------------------------------------------- */

struct hilum_train_options {
	const char *data;     /* folder of class folders, or a CSV manifest */
	const char *arch;     /* "seed", "resnet18", a preset with settings ("seed filters=16,32"), or a file; NULL: the
	                         network of init, otherwise "seed" */
	const char *out;      /* run folder; NULL: runs/ and the first free name made from data and arch */
	const char *positive; /* "A,B": classes merged into the positive class of a binary task */
	const char *groups;   /* CSV path,group (or patient); overrides the manifest's groups; "auto": those that an
	                         audit infers, likenesses being of one patient */
	const char *split;    /* "70/15/15" */
	const char *folds;    /* CSV with path and a column that starts with fold */
	const char *fold_column; /* that column's name when there are several; NULL: the only one, or "fold" */
	int64_t fold;            /* the test fold; -1: none */
	double validation;       /* with folds: share of the training part that is taken for validation; 0: none */
	int64_t epochs, batch, seed, threads;
	int64_t size; /* pixels a side; 0: what the architecture's input line says, or init, otherwise 256 */
	double lr, weight_decay, momentum, clip, label_smoothing, focal, ema;
	double dropout;                     /* rate of every dropout layer; -1: as the architecture has it */
	int optimizer;                      /* sgd, adam, adamw */
	int schedule;                       /* constant, step, cosine, onecycle */
	double warmup;                      /* epochs of linear warm-up */
	int loss;                           /* auto, bce, ce, focal */
	int precision;                      /* fp32, bf16, fp32-strict */
	int balance;                        /* none, weights, sampler */
	int channels;                       /* grey, rgb */
	int fit;                            /* crop, pad: how a picture becomes square */
	double middle;                      /* share of the square's side that is kept, from its middle; 1: all */
	double window_center, window_width; /* Hounsfield units, for inputs in Hounsfield units */
	const char *augment; /* "none", "light", "medium", "strong" or a list "flip,rotate=15,noise=0.02" */
	int64_t patience;    /* early stopping: epochs without a better validation loss; 0 never stops */
	const char *keep;    /* "best" or "last": the model whose test score is printed */
	const char *init;    /* model to start from. Without arch, its network (a new head for other classes), and its
	                        size, channels, fit, windows and dims where those are not given */
	int64_t freeze;      /* first layers kept as they are; with init, the model's mean and deviation too */
	int64_t memory;      /* MiB the loader may use to keep resized pictures */
	double checkpoint;   /* seconds between checkpoints within an epoch; 0: after every step */
	bool resume; /* go on with the run in out, or begin it when it has no checkpoint yet. Options left at their
	                defaults take the run's values; others, and those given (hilum_train_events), must agree with
	                them (threads, memory and checkpoint may differ) */
	bool allow_leakage;  /* train though pictures on two sides of the split are alike; the model says so */
	bool shuffle_labels; /* a control: labels permuted over groups; an honest pipeline then scores chance */
	int dims;            /* 2d, 2.5d, 3d: a case is a slice, a slice with its neighbours as channels, a volume or
	                        stack */
	int64_t depth;       /* slices of the input; 0: what the architecture's input line says, or init, otherwise 3 in
	                        2.5d and 16 in 3d */
	double spacing; /* mm from slice to slice of the input, in 3d with extent middle; 0: the cases' own slices */
	int extent;     /* 3d: middle, the middle slices; whole, all from end to end made into depth; lungs, of a
	                   chest those from the first with lung to the last */
	const char *windows; /* "lung,mediastinum": two or three windows for Hounsfield units, one a channel, instead of
	                        channels and the window; NULL: none */
};

/* Every option of `hilum train`; data is set by the caller. */
HILUM_API extern const struct hilum_option hilum_train_option_table[];

/* Filled in before each callback and borrowed for its duration. */
struct hilum_progress {
	int64_t epoch, epochs; /* from 1 */
	int64_t step, steps;   /* of this epoch, from 1 */
	double images_per_second;
	double seconds_left;
	double loss;            /* running mean over this epoch's steps */
	bool epoch_done;        /* then the members below are set */
	double validation_loss; /* NaN where there is no validation part */
	double validation_auc;  /* NaN likewise, or when one class only */
	double validation_accuracy;
	bool best; /* the best validation loss so far (best.hilum was written) */
};

struct hilum_train_events {
	void (*progress)(void *context, const struct hilum_progress *progress);
	void *context;
	const volatile int *stop; /* non-zero asks to stop after this step, saved; NULL: never */
	uint64_t given; /* bit i: entry i of hilum_train_option_table was asked for, and counts as such though it be the
	                   default. Options that differ from their defaults count in any case */
};

struct hilum_scores;

struct hilum_train_result {
	char run[512];         /* the run folder */
	char weights_hash[17]; /* 16 hex digits over the final weights */
	int64_t epochs_done;
	struct hilum_scores
	    *test; /* of the reloaded model on the test part; NULL if there is none; hilum_scores_free */
};

/* Trains and writes the run folder: command.txt, options.json, arch.txt, recipe.json, split.csv, log.csv, best.hilum,
 * last.hilum, checkpoint.safetensors and the test part's predictions.csv. HILUM_ERROR_STOPPED when stopped by the
 * caller: the checkpoint is on disk and options->resume goes on from it bit for bit. events may be NULL. */
HILUM_API enum hilum_status hilum_train(const struct hilum_train_options *options,
                                        const struct hilum_train_events *events, struct hilum_train_result *result,
                                        struct hilum_error *error);

/* ---- models and prediction ------------------------------------------------------------------------------------ */

struct hilum_model;
struct hilum_session;

/* Opens NAME.hilum, or a run folder's best.hilum. Every byte is checked before use. hilum_model_close. */
HILUM_API enum hilum_status hilum_model_open(const char *path, struct hilum_model **out, struct hilum_error *error);
HILUM_API void hilum_model_close(struct hilum_model *model);

/* Several models as one, whose logits are the mean of theirs, written to the file out. paths: model files, run folders,
 * or the folder of a cross-validation, which stands for the models of its folds. Classes and the way of reading
 * pictures must agree. It costs what its members cost together, and is used like any other model. *members: how many;
 * may be NULL. */
HILUM_API enum hilum_status hilum_ensemble(const char *const *paths, size_t count, const char *out, size_t *members,
                                           struct hilum_error *error);

HILUM_API int32_t hilum_model_class_count(const struct hilum_model *model);
/* Borrowed from the model; NULL outside 0 .. count-1. In a binary task class 1 is the positive one. */
HILUM_API const char *hilum_model_class_name(const struct hilum_model *model, int32_t index);

struct hilum_session_options {
	int64_t threads; /* 0: the cores really available */
	int precision;   /* 0 fp32, 1 bf16, 2 int8: of a model that hilum_quantize has seen, 3 fp32-strict: as 0, but
	                    multiplied as it is also where there are tiles (AMX), which take it in parts of bf16 */
	int64_t batch;   /* images a pass; 0: 1 */
	bool force;      /* answer where a scan would be refused, and say so */
	bool tta;        /* answer every picture as it is and mirrored, and take the mean */
};

/* Plans the model for a fixed batch. The model must outlive the session. hilum_session_close. */
HILUM_API enum hilum_status hilum_session_open(const struct hilum_model *model,
                                               const struct hilum_session_options *options, struct hilum_session **out,
                                               struct hilum_error *error);
HILUM_API void hilum_session_close(struct hilum_session *session);

#define HILUM_CLASSES_MAX 64

/* Where a model's calibration has a conformal part (hilum_calibrate). */
enum hilum_zone { HILUM_ZONE_NONE, HILUM_ZONE_LOW, HILUM_ZONE_UNCERTAIN, HILUM_ZONE_HIGH };

struct hilum_prediction {
	int32_t class_index;    /* the most probable class; binary: probability >= 0.5 */
	double probability;     /* binary: of the positive class; otherwise of class_index */
	double probability_raw; /* that of the network, before the model's calibration; the same where it has none */
	enum hilum_zone zone;
	int32_t count;
	double probabilities[HILUM_CLASSES_MAX];
	bool forced;      /* it would have been refused */
	char reason[128]; /* for which: "not a chest CT (a picture in colour)"; otherwise empty */
	/* How far the input lies from the model's training pictures (docs/refusal.md). A share of unusual_rate of
	 * pictures like those lies beyond unusual_threshold. NaN where the model does not tell. */
	double unusual, unusual_threshold, unusual_rate;
	bool is_unusual;
};

/* One case from a file, a folder with a series or an archive, through the recipe stored in the model: what
 * hilum_predict_case says of it by default. */
HILUM_API enum hilum_status hilum_predict_file(struct hilum_session *session, const char *path,
                                               struct hilum_prediction *out, struct hilum_error *error);

enum hilum_pixel { HILUM_PIXEL_U8, HILUM_PIXEL_U16, HILUM_PIXEL_I16_HU, HILUM_PIXEL_F32_HU };

/* One picture from memory: height rows of width pixels of channels (1 or 3) interleaved values, no padding. */
HILUM_API enum hilum_status hilum_predict_pixels(struct hilum_session *session, const void *pixels,
                                                 enum hilum_pixel type, int32_t width, int32_t height, int32_t channels,
                                                 struct hilum_prediction *out, struct hilum_error *error);

/* A slice of a case, as a network for slices answers it. */
struct hilum_slice {
	int32_t slice; /* from 1 */
	double z;      /* mm: where the slice's middle lies in the patient, towards the head; from the first slice on
	                  where only distances are known; NaN: not known */
	/* Binary: of the positive class, otherwise of the case's class. The first is what the calibration makes of the
	 * slice alone, so that it can be held against the case's; the second is the network's own, which the case's
	 * probability_raw is made of. */
	double probability, probability_raw;
};
struct hilum_profile {
	int32_t count; /* 0: the case was looked at as a whole */
	struct hilum_slice *slices;
};
HILUM_API void hilum_profile_free(struct hilum_profile *profile);

/* One case: a file, a folder with a series or an archive (count 1), or the slices of a stack in order. A network for
 * volumes looks at it as a whole. A network for slices looks at every slice, of a chest at those that show lung, and
 * aggregate (enum hilum_aggregate; auto is the mean) makes one answer of theirs, which is calibrated then. profile may
 * be NULL; hilum_profile_free. */
HILUM_API enum hilum_status hilum_predict_case(struct hilum_session *session, const char *const *paths, int32_t count,
                                               int aggregate, struct hilum_prediction *out,
                                               struct hilum_profile **profile, struct hilum_error *error);

/* ---- evaluation ----------------------------------------------------------------------------------------------- */

enum hilum_by { HILUM_BY_CASE, HILUM_BY_GROUP };
enum hilum_aggregate { HILUM_AGGREGATE_AUTO, HILUM_AGGREGATE_MEAN, HILUM_AGGREGATE_MAX, HILUM_AGGREGATE_NOISY_OR };

/* How a table of cases is scored. hilum_options_init sets the defaults. */
struct hilum_score_options {
	int by;            /* enum hilum_by: by group (patient), its cases' probabilities are made one, and a group is
	                      positive where any of its cases is */
	int aggregate;     /* enum hilum_aggregate. Auto: by hilum_eval of a model's own test part, the one with the
	                      largest ROC-AUC on its validation part; otherwise the mean */
	double prevalence; /* share of positives where the model would be used, for PPV and NPV; 0: not stated */
	int64_t resamples; /* draws of groups behind the 95 % intervals; 0: no intervals */
	int64_t seed;      /* of the draws */
};
HILUM_API extern const struct hilum_option hilum_score_option_table[];

struct hilum_eval_options {
	const char *data;  /* folder or CSV manifest */
	const char *split; /* "train", "val", "test", "all"; NULL: test on the run's own data set, otherwise all */
	const char *groups;
	const char *positive;
	const char *predictions; /* CSV to write: path,label,probability[,group], or label,p_CLASS...; NULL: none */
	int64_t threads;
	int precision;
	int64_t batch;
	bool tta; /* every picture is answered as it is and mirrored, and the mean taken */
	struct hilum_score_options scoring;
};
HILUM_API extern const struct hilum_option hilum_eval_option_table[];

/* Scores a model on a data set. Files that cannot be read are counted and reported as warnings. hilum_scores_free. */
HILUM_API enum hilum_status hilum_eval(const struct hilum_model *model, const struct hilum_eval_options *options,
                                       struct hilum_scores **out, struct hilum_error *error);

/* Scores any table of labels and probabilities: label,probability[,group] (label 0 or 1) or label,p_CLASS,... NULL
 * options are the defaults. */
HILUM_API enum hilum_status hilum_score_file(const char *path, const struct hilum_score_options *options,
                                             struct hilum_scores **out, struct hilum_error *error);

HILUM_API void hilum_scores_free(struct hilum_scores *scores);

/* A figure by its JSON name ("auc", "log_loss", ...), positive class or macro average; NaN where it is undefined. */
HILUM_API double hilum_scores_get(const struct hilum_scores *scores, const char *name);

/* The 95 % interval of a figure, or false (and *low, *high untouched) where it has none. */
HILUM_API bool hilum_scores_interval(const struct hilum_scores *scores, const char *name, double *low, double *high);

enum hilum_output { HILUM_OUTPUT_TEXT, HILUM_OUTPUT_JSON };

/* The scores for a person (tables, with the baseline beside each figure) or as one JSON object. */
HILUM_API enum hilum_status hilum_scores_print(const struct hilum_scores *scores, enum hilum_output output, FILE *file,
                                               struct hilum_error *error);

/* Two models on the same cases. */
struct hilum_comparison;

/* Matches the cases of two scored tables by path (or id) and draws the 95 % interval of the difference of every figure:
 * the same groups for both. Groups are a's, or b's where a has none. Cases that stand in one table only are left out
 * and counted. HILUM_ERROR_DATA where a path stands twice in a table, labels differ or no case is in both. options as
 * for hilum_score_file, resamples at least 100. hilum_comparison_free. */
HILUM_API enum hilum_status hilum_compare(const struct hilum_scores *a, const struct hilum_scores *b,
                                          const struct hilum_score_options *options, struct hilum_comparison **out,
                                          struct hilum_error *error);
HILUM_API void hilum_comparison_free(struct hilum_comparison *comparison);

/* The figures of both, the difference a - b and its interval, and in words what it means; or one JSON object. */
HILUM_API enum hilum_status hilum_comparison_print(const struct hilum_comparison *comparison, enum hilum_output output,
                                                   FILE *file, struct hilum_error *error);

/* ---- cross-validation ------------------------------------------------------------------------------------------ */

enum hilum_control {
	HILUM_CONTROL_NONE,
	HILUM_CONTROL_SHUFFLED_LABELS, /* labels permuted over groups: an honest pipeline scores chance */
	HILUM_CONTROL_BACKGROUND_ONLY  /* what lies between and within the lungs is blanked out: what is scored then is
	                                  no disease */
};

struct hilum_crossval_options {
	struct hilum_train_options train; /* data, and all that hilum_train takes but split and fold; out: the folder
	                                     for all of it. folds: a table that says who is tested when; NULL: drawn */
	int64_t k;                        /* folds to draw, whole groups, classes in their shares */
	int64_t repeats;                  /* how often they are drawn anew */
	int64_t seeds;  /* trainings of each fold, with train.seed, train.seed + 1, ...; their mean answers */
	int control;    /* enum hilum_control */
	bool tta;       /* every picture is answered as it is and mirrored, and the mean taken */
	bool baselines; /* also what can be had without a network: needs every picture read once more */
	int by;         /* enum hilum_by */
	double prevalence;
	int64_t resamples;
};
/* What is not in hilum_train_option_table. */
HILUM_API extern const struct hilum_option hilum_crossval_option_table[];

struct hilum_crossval;

/* Trains and tests every fold. Folders fold-NUMBER in the run folder are those of hilum_train, with the test part's
 * predictions.csv; beside them folds.csv, predictions.csv of all cases (path,label,probability[,group],fold) and
 * crossval.json. With train.resume finished folds are not trained again, and an unfinished one goes on. events as for
 * hilum_train. hilum_crossval_free. */
HILUM_API enum hilum_status hilum_crossval(const struct hilum_crossval_options *options,
                                           const struct hilum_train_events *events, struct hilum_crossval **out,
                                           struct hilum_error *error);
HILUM_API void hilum_crossval_free(struct hilum_crossval *crossval);
/* The run folder; borrowed. */
HILUM_API const char *hilum_crossval_folder(const struct hilum_crossval *crossval);
/* Of all folds' cases together; borrowed. */
HILUM_API const struct hilum_scores *hilum_crossval_scores(const struct hilum_crossval *crossval);

/* Every figure as mean and standard deviation over folds and of all cases together with its interval, beside what can
 * be had without a network; or one JSON object. */
HILUM_API enum hilum_status hilum_crossval_print(const struct hilum_crossval *crossval, enum hilum_output output,
                                                 FILE *file, struct hilum_error *error);

/* ---- audit: can a score on these data be believed? -------------------------------------------------------------- */

struct hilum_audit_options {
	const char *data;   /* folder of class folders, or a CSV manifest */
	const char *groups; /* CSV path,group (or patient) to compare the inferred groups with; NULL: the manifest's */
	const char *positive; /* as for training, and the next four too: a split to look for leaks in */
	const char *split, *folds, *fold_column;
	int64_t fold; /* -1: with folds, leaks between any two of them */
	double validation;
	int64_t seed, threads;
	int64_t resamples; /* draws behind the intervals of shortcuts; 0: none */
	bool quick;        /* exact copies and pictures in the same position only; no shortcuts */
};
/* All but data, which is set by the caller. */
HILUM_API extern const struct hilum_option hilum_audit_option_table[];

struct hilum_audit_events {
	/* What is being done and how far it is; called on one thread at a time, not always the same. */
	void (*progress)(void *context, const char *what, int64_t done, int64_t total);
	void *context;
	const volatile int *stop; /* non-zero asks to stop; NULL: never */
};

struct hilum_audit;

/* Looks at every picture of a data set and compares each with each: files that cannot be read or are no CT, copies
 * changed or not, neighbouring slices, labels that contradict each other, groups to stand in for patients, pairs on two
 * sides of a split, and what predicts the label though it should not. Memory: about 20 KB a picture. events may be
 * NULL. hilum_audit_free. */
HILUM_API enum hilum_status hilum_audit(const struct hilum_audit_options *options,
                                        const struct hilum_audit_events *events, struct hilum_audit **out,
                                        struct hilum_error *error);
HILUM_API void hilum_audit_free(struct hilum_audit *audit);

/* What was found, for a person or as one JSON object: unreadable, pairs (a, b, kind, score), groups (path to group),
 * label_conflicts, shortcuts (name, auc, interval), leaks; see docs/audit.md. */
HILUM_API enum hilum_status hilum_audit_print(const struct hilum_audit *audit, enum hilum_output output, FILE *file,
                                              struct hilum_error *error);
/* One HTML file with the pairs as pictures, which needs nothing else. */
HILUM_API enum hilum_status hilum_audit_html(const struct hilum_audit *audit, const char *path,
                                             struct hilum_error *error);
/* The inferred groups as CSV path,group, as --groups takes them. */
HILUM_API enum hilum_status hilum_audit_write_groups(const struct hilum_audit *audit, const char *path,
                                                     struct hilum_error *error);

/* ---- explanation ------------------------------------------------------------------------------------------------ *
 * Heat over a picture: which places speak for a class. It says where, not why, and not whether the network is right. */

enum hilum_method { HILUM_METHOD_GRADCAM, HILUM_METHOD_OCCLUSION, HILUM_METHOD_INTEGRATED_GRADIENTS };

struct hilum_explain_options {
	int method;          /* enum hilum_method */
	const char *subject; /* the class whose heat is wanted; NULL: of two the positive one, otherwise the answer */
	const char *layer;   /* Grad-CAM: a node's name; NULL: the last with maps of at least 7 x 7 */
	int64_t patch;       /* occlusion, and the check: pixels a side of the network's input; 0: a tenth of it */
	int64_t steps;       /* integrated gradients: points of the line from the blurred picture to it */
	int64_t randomised;  /* networks with random weights that the heat is compared with; 0: it is not checked */
	int64_t seed;        /* of theirs */
	int64_t slice;       /* of several, from 1; 0: the one that the network gives the class the most */
	int64_t threads;
};
HILUM_API extern const struct hilum_option hilum_explain_option_table[];

/* Does the heat hang on what the network has learnt? docs/explanation.md */
struct hilum_sanity {
	int32_t randomised;    /* networks with random weights; 0: not checked, and the next two are NaN */
	double correlation;    /* mean size of the rank correlation of this heat with theirs */
	double similarity;     /* likewise, structural similarity */
	double drop;           /* of the class's logit when the hottest place is covered */
	double drop_elsewhere; /* the largest when any of a number of other places is */
	bool reliable;
	char reason[96]; /* why not; "" */
};

struct hilum_explanation {
	int32_t width, height;        /* of the slice as it was read */
	int32_t slice, slices;        /* which of how many, from 1 */
	uint8_t *picture;             /* width x height, grey, as the model sees it (its first window) */
	float *heat;                  /* width x height: 1 the hottest, 0 where nothing speaks for the class */
	int32_t hottest_x, hottest_y; /* from 0; -1 where there is no heat */
	int method;
	char layer[64];     /* Grad-CAM; otherwise "" */
	char subject[64];   /* the class */
	char model[17];     /* hash of its weights */
	double probability; /* of that class, of this slice or volume, by the model's calibration */
	double strongest;   /* the hottest value: logit (occlusion, integrated gradients), or of no unit */
	double sum,
	    difference; /* integrated gradients: what all values add up to, and what they should; otherwise NaN */
	struct hilum_sanity sanity;
};

/* Plans a model for one method. The model must outlive it; a thread at a time. hilum_explainer_close. */
struct hilum_explainer;
HILUM_API enum hilum_status hilum_explainer_open(const struct hilum_model *model,
                                                 const struct hilum_explain_options *options,
                                                 struct hilum_explainer **out, struct hilum_error *error);
HILUM_API void hilum_explainer_close(struct hilum_explainer *explainer);

/* One case: a file, a folder with a series or an archive (count 1), or the slices of a stack in order. Of several
 * slices a network for slices is asked about one; of a volume that is looked at as a whole the slice with the hottest
 * place is told. hilum_explanation_free. */
HILUM_API enum hilum_status hilum_explain(struct hilum_explainer *explainer, const char *const *paths, int32_t count,
                                          struct hilum_explanation **out, struct hilum_error *error);
HILUM_API void hilum_explanation_free(struct hilum_explanation *explanation);

/* The picture, and beside it the same under its heat, with a legend; unreliable heat is marked. PNG. */
HILUM_API enum hilum_status hilum_explanation_draw(const struct hilum_explanation *explanation, const char *path,
                                                   struct hilum_error *error);
/* The same as figures; or one JSON object. path names the case. */
HILUM_API enum hilum_status hilum_explanation_print(const struct hilum_explanation *explanation, const char *path,
                                                    enum hilum_output output, FILE *file, struct hilum_error *error);

/* ---- report ---------------------------------------------------------------------------------------------------- */

struct hilum_robustness_options {
	const char *data;  /* folder or CSV manifest */
	const char *split; /* as for hilum_eval, and the next two too */
	const char *groups;
	const char *positive;
	const char
	    *out; /* JSON file to write as well; NULL: robustness.json in the run folder, if the model is one's */
	int64_t threads;
	int precision;
	int64_t batch;
	int64_t resamples, seed; /* of the intervals; 100 or more */
};
/* All but data, which is set by the caller. */
HILUM_API extern const struct hilum_option hilum_robustness_option_table[];
struct hilum_robustness;

/* Answers the cases as they are and with noise, blur, another brightness, shifted and as JPEG, each at several
 * strengths, put into the 8-bit pictures that the network sees; every figure is compared with that of the pictures as
 * they are (paired, intervals by groups). path as for hilum_model_open. events may be NULL. hilum_robustness_free. */
HILUM_API enum hilum_status hilum_robustness(const char *path, const struct hilum_robustness_options *options,
                                             const struct hilum_audit_events *events, struct hilum_robustness **out,
                                             struct hilum_error *error);
HILUM_API void hilum_robustness_free(struct hilum_robustness *robustness);
/* A table, or one JSON object. */
HILUM_API enum hilum_status hilum_robustness_print(const struct hilum_robustness *robustness, enum hilum_output output,
                                                   FILE *file, struct hilum_error *error);

struct hilum_report_options {
	const char *out;       /* HTML file; NULL: report.html */
	const char *title;     /* NULL: the first input's name */
	const char *data;      /* folder or manifest in which pictures are looked up; NULL: where the run was trained */
	const char *table;     /* CSV with path and further columns; NULL: data, where that is a manifest */
	const char *subgroups; /* column of it whose values are scored apart; NULL: none */
	int64_t errors;        /* worst ones shown as pictures */
	struct hilum_score_options scoring;
};
HILUM_API extern const struct hilum_option hilum_report_option_table[];

/* One HTML file about the first input, with no reference to anything outside it: a run folder of hilum_train (its test
 * part) or hilum_crossval, or a table as for hilum_score_file. Further inputs are compared with it. It holds pictures
 * and paths of the cases. */
HILUM_API enum hilum_status hilum_report(const char *const *inputs, size_t count,
                                         const struct hilum_report_options *options, struct hilum_error *error);

/* ---- calibration ---------------------------------------------------------------------------------------------- */

enum hilum_calibration {
	HILUM_CALIBRATION_AUTO, /* the first below that no later one clearly beats in log loss, on cases whose group
	                           took no part in its fit */
	HILUM_CALIBRATION_NONE,
	HILUM_CALIBRATION_TEMPERATURE,
	HILUM_CALIBRATION_PLATT,
	HILUM_CALIBRATION_ISOTONIC,
	HILUM_CALIBRATION_COUNT
};

struct hilum_calibrate_options {
	const char *data;  /* folder or CSV manifest */
	const char *split; /* "val", "test", "all", ...; NULL: val on the run's own data set, otherwise all */
	const char *groups;
	const char *positive;
	const char *out;  /* model file to write; NULL: the model itself */
	int method;       /* enum hilum_calibration */
	double conformal; /* largest share of cases of each class to be called the other (low, high); 0: no zones */
	int64_t threads;
	int precision;
	int64_t batch;
	int64_t seed; /* of the folds behind auto, and of the case drawn of each group for the zones */
};
HILUM_API extern const struct hilum_option hilum_calibrate_option_table[];

struct hilum_calibrate_result {
	char file[512]; /* written */
	char part[16];
	size_t cases, groups, unreadable;         /* groups 0: none were given */
	int method;                               /* enum hilum_calibration, never auto */
	double slope, intercept;                  /* of temperature (1/T, 0) and Platt */
	size_t points;                            /* of isotonic */
	double log_loss[HILUM_CALIBRATION_COUNT]; /* of each method on cases whose group took no part in its fit; NaN
	                                             where it cannot be fitted, and for auto */
	double conformal;                         /* 0: no zones */
	double low_below, high_above;             /* of the network's own probability */
	size_t negatives, positives;              /* behind them: one of each group */
	double share_low, share_uncertain, share_high; /* of the cases */
};

/* Fits what turns the network's probabilities into ones that mean what they say, and the borders of low, uncertain and
 * high, on cases that the network was not trained on; stores it in the model's file, where hilum_predict_... and
 * hilum_eval use it. path as for hilum_model_open; an earlier calibration is replaced. */
HILUM_API enum hilum_status hilum_calibrate(const char *path, const struct hilum_calibrate_options *options,
                                            struct hilum_calibrate_result *result, struct hilum_error *error);
HILUM_API enum hilum_status hilum_calibrate_print(const struct hilum_calibrate_result *result, enum hilum_output output,
                                                  FILE *file, struct hilum_error *error);

/* ---- int8 ------------------------------------------------------------------------------------------------------ */

struct hilum_quantize_options {
	const char *data;  /* folder or CSV manifest */
	const char *split; /* part that the ranges are found on; NULL: train on the run's own data set, otherwise all */
	const char *test;  /* part that float32 and int8 are compared on; NULL: test, likewise */
	int64_t cases;     /* that the ranges are found on at most */
	const char *groups;
	const char *positive;
	const char *out; /* model file to write; NULL: the model itself */
	int64_t threads;
};
HILUM_API extern const struct hilum_option hilum_quantize_option_table[];

struct hilum_quantize_result {
	char file[512]; /* written */
	char part[16], test_part[16];
	size_t cases, test_cases;                /* readable ones */
	double auc[2], log_loss[2], accuracy[2]; /* float32, int8; NaN where undefined */
	double largest, mean;                    /* difference of a case's probabilities */
	size_t changed;                          /* cases that get another class */
};

/* Finds the scales by which the network's activations are told in bytes, measures what that costs, and stores both in
 * the model's file, which can then be used with precision 2. path as for hilum_model_open. */
HILUM_API enum hilum_status hilum_quantize(const char *path, const struct hilum_quantize_options *options,
                                           struct hilum_quantize_result *result, struct hilum_error *error);
HILUM_API enum hilum_status hilum_quantize_print(const struct hilum_quantize_result *result, enum hilum_output output,
                                                 FILE *file, struct hilum_error *error);

/* ---- scans ----------------------------------------------------------------------------------------------------- *
 * A scan is a file of any format that hilum reads, a folder with a DICOM series, or an archive of either. */

struct hilum_convert_options {
	int slices;          /* 0 one file, 1 a folder of PNG, 2 of TIFF */
	const char *window;  /* for PNG: "lung", "mediastinum", "bone", "center/width"; NULL: lung */
	const char *spacing; /* "1" or "0.7,0.7,1.25": resample to voxels of so many mm; NULL: as they are */
	bool compress;       /* the voxels of a MetaImage */
	int64_t series;      /* which of several, from 1; 0: the only one */
	bool force;          /* go on where a scan would be refused */
};
HILUM_API extern const struct hilum_option hilum_convert_option_table[];

/* Writes a scan in the format that out's ending names (.nii, .nii.gz, .mha, .mhd, .tif, .png), voxels and place as they
 * were read; see `hilum help convert`. */
HILUM_API enum hilum_status hilum_convert(const char *scan, const char *out,
                                          const struct hilum_convert_options *options, struct hilum_error *error);

struct hilum_view_options {
	const char *out; /* PNG */
	int layout;      /* 0 one axial slice, 1 montage, 2 axial, coronal and sagittal */
	int64_t slice;   /* from 1; 0: the middle, or where most of the mask is */
	int64_t count, columns;
	const char *window; /* NULL: lung */
	const char *mask;   /* a scan of the same size; NULL: none */
	double opacity;     /* of the mask, 0 to 1 */
	int64_t series;
	bool force;
};
HILUM_API extern const struct hilum_option hilum_view_option_table[];

/* Draws a scan. */
HILUM_API enum hilum_status hilum_view(const char *scan, const struct hilum_view_options *options,
                                       struct hilum_error *error);

struct hilum_lungs_options {
	const char *out;   /* mask to write: 1 right lung, 2 left lung; NULL: none */
	const char *truth; /* mask to compare with, all but 0 is lung; NULL: none */
	int64_t series, threads;
	bool force;
};
HILUM_API extern const struct hilum_option hilum_lungs_option_table[];

struct hilum_lungs {
	int32_t count; /* lungs found: 0, 1, 2 */
	bool chest;    /* whether the scan looks like a chest */
	int64_t right_voxels, left_voxels;
	double right_ml, left_ml; /* NaN where the spacing is not known */
	double dice;              /* with truth; otherwise NaN */
};

/* Finds the lungs in an axial slice or a volume, without a model, and tells about them in file (NULL: nothing) and
 * *result (NULL likewise). A scan without lungs is no error. See `hilum help lungs`. */
HILUM_API enum hilum_status hilum_lungs(const char *scan, const struct hilum_lungs_options *options,
                                        enum hilum_output output, FILE *file, struct hilum_lungs *result,
                                        struct hilum_error *error);

/* ---- descriptions --------------------------------------------------------------------------------------------- */

/* What a model file or a scan is: architecture, recipe, classes, provenance, scores; or size, place, type, values and
 * what was noticed. */
HILUM_API enum hilum_status hilum_info(const char *path, enum hilum_output output, bool plan, FILE *file,
                                       struct hilum_error *error);

/* The reference page of every layer: name, ONNX name, options with ranges. */
HILUM_API enum hilum_status hilum_describe_ops(enum hilum_output output, FILE *file, struct hilum_error *error);

/* This machine as hilum sees it: processor, instruction sets, threads, memory, libraries, back ends; a small self-test
 * of each back end against the reference. HILUM_ERROR_INTERNAL if one disagrees. */
HILUM_API enum hilum_status hilum_doctor(enum hilum_output output, FILE *file, struct hilum_error *error);

/* ---- speed ----------------------------------------------------------------------------------------------------- */

struct hilum_bench_options {
	const char *net; /* "S", "R" or "V" (the networks of docs/speed.md), a model, a network's text with
	                    an input line, or a preset with settings ("seed filters=16,32"), which is
	                    measured on 1x256x256x3; NULL: "S" */
	int mode;        /* train, infer */
	int precision;   /* fp32, bf16, int8, fp32-strict */
	int64_t batch, threads, repeats; /* 0: as the table's help says */
	bool nodes;                      /* with the time of each layer */
};
/* Every option of `hilum bench`. */
HILUM_API extern const struct hilum_option hilum_bench_option_table[];

/* Times training steps (forward, loss, backward, Adam) or forward passes on this machine, with images of noise: wall
 * and processor time, images and arithmetic a second, share of the measured peak of the processor. Nothing is written
 * but the report. A precision that this version cannot run is HILUM_ERROR_UNSUPPORTED. */
HILUM_API enum hilum_status hilum_bench(const struct hilum_bench_options *options, enum hilum_output output, FILE *file,
                                        struct hilum_error *error);

#ifdef __cplusplus
}
#endif
#endif
