/* Memory for a program that runs for milliseconds. */
#ifndef NETLOOM_MEMORY_H
#define NETLOOM_MEMORY_H

#include "quickjs/quickjs.h"

/* For JS_NewRuntime2(). One thread only. Freed memory is reused, and returns to the kernel when the process ends. */
extern const JSMallocFunctions memory_functions;

#endif
