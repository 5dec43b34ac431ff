/*
 * fuzz_frontend.c: see targets.h.
 */
#include "targets.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	fuzz_frontend(data, n);
	return 0;
}
