/* QuickJS with what the plugins need of the world: libc, by src/ffi/quickjs.ts, and the environment. */
#ifndef NETLOOM_ENGINE_H
#define NETLOOM_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#include "quickjs/quickjs.h"

/* A context whose global `host` is ready. Ends the process where there is no memory for it. */
JSContext *engine_start(void);

/* Runs what JS_WriteObject() made of a script. @returns 0, or -1 where it threw, which is told on stderr */
int engine_run(JSContext *context, const uint8_t *bytecode, size_t size);

/* Tells on stderr what was thrown. */
void engine_tell(JSContext *context);

#endif
