/*
 * metrics.h: the figures as OpenMetrics, or in the older text format of Prometheus for those who do not ask for that.
 */
#ifndef PGWEIR_ADMIN_METRICS_H
#define PGWEIR_ADMIN_METRICS_H

#include "session/session.h"

typedef enum MetricsFormat
{
	METRICS_OPENMETRICS, /* 1.0.0 */
	METRICS_PROMETHEUS,	 /* text 0.0.4 */
} MetricsFormat;

/* By the first worker; parks the others for as long as it reads.  False when out of memory. */
extern bool metrics_write(const Worker *worker, MetricsFormat format, Buf *out) MUST_CHECK;
extern const char *metrics_content_type(MetricsFormat format);

#endif
