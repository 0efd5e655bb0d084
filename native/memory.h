/* Memory for a program that is over in milliseconds. */
#ifndef NETLOOM_MEMORY_H
#define NETLOOM_MEMORY_H

#include "quickjs/quickjs.h"

/* For JS_NewRuntime2(). One thread only. What is freed is used again, and goes back to the kernel with the process. */
extern const JSMallocFunctions memory_functions;

#endif
