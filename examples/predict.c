/* Loads a model and predicts pictures through libhilum.
 *
 *   cc predict.c -o predict $(pkg-config --cflags --libs hilum)
 *   ./predict MODEL PICTURE...
 */
#include <hilum/hilum.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	struct hilum_error error;
	struct hilum_model *model;
	struct hilum_session *session;
	int failed = 0;

	if (argc < 3) {
		fprintf(stderr, "usage: predict MODEL PICTURE...\n");
		return 2;
	}
	if (hilum_model_open(argv[1], &model, &error)) {
		fprintf(stderr, "%s\n", error.message);
		return 1;
	}
	struct hilum_session_options options = {.threads = 0};
	if (hilum_session_open(model, &options, &session, &error)) {
		fprintf(stderr, "%s\n", error.message);
		hilum_model_close(model);
		return 1;
	}
	for (int i = 2; i < argc; i++) {
		struct hilum_prediction prediction;
		if (hilum_predict_file(session, argv[i], &prediction, &error)) {
			fprintf(stderr, "%s\n", error.message);
			failed = 1;
			continue;
		}
		printf("%s %s %.17g\n", argv[i], hilum_model_class_name(model, prediction.class_index),
		       prediction.probability);
	}
	hilum_session_close(session);
	hilum_model_close(model);
	return failed;
}
