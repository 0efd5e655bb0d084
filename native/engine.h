/*
 * QuickJS with what the plugins need beyond the language: libc, through src/ffi/quickjs.ts, and the environment
 * variables.
 */
#ifndef NETLOOM_ENGINE_H
#define NETLOOM_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#include "quickjs/quickjs.h"

/* Creates a context with the global `host`. Ends the process where there is no memory for it. */
JSContext *engine_start(void);

/* Runs bytecode from JS_WriteObject(). @returns 0, or -1 where it threw; the exception is then printed on stderr */
int engine_run(JSContext *context, const uint8_t *bytecode, size_t size);

/* Prints the thrown exception on stderr. */
void engine_tell(JSContext *context);

#endif
