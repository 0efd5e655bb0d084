/*
 * netloom-cni: the plugins as one small program, for calls that no agent serves. The shim executes it under the name of
 * a plugin type. It contains the bytecode of each type's program (main.ts of the plugin), which
 * scripts/build-native.mjs makes, and runs one of them.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine.h"

/*
 * Made by scripts/build-native.mjs: the name and bytecode of each program. The first is src/ffi/quickjs-globals.ts,
 * which all others need; the last entry has no name.
 */
extern const struct program {
  const char *name;
  const uint8_t *begin, *end;
} programs[];

static int run(JSContext *context, const struct program *program) { return engine_run(context, program->begin, (size_t)(program->end - program->begin)); }

int main(int argc, char **argv) {
  const char *path = argc < 1 ? "" : argv[0], *slash = strrchr(path, '/'), *type = slash == NULL ? path : slash + 1;
  for (const struct program *program = programs + 1; program->name != NULL; program++) {
    if (strcmp(program->name, type) != 0) continue;
    JSContext *context = engine_start();
    if (run(context, programs) == 0) run(context, program);
    /* A program ends the process itself, so this is an error. The runtime must get an error object that it can read. */
    dprintf(1, "{\n    \"cniVersion\": \"1.1.0\",\n    \"code\": 999,\n    \"msg\": \"internal error, its stderr has more\"\n}\n");
    return 1;
  }
  dprintf(2, "netloom-cni: \"%s\" is no plugin type; the command line is netloom\n", type);
  return 1;
}
