/* One callback for words meant for people; see hilum_log_to. */
#ifndef HL_BASE_LOG_H
#define HL_BASE_LOG_H
#include "hilum/hilum.h"
void hl_log(enum hilum_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
#endif
