/*
 * Compiles or runs JavaScript on the engine of netloom-cni, for the build and the tests:
 *
 *   javascript compile < script > bytecode
 *   javascript run SCRIPT...      one after the other in one context
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

static char *read_all(FILE *file, size_t *length) {
  size_t room = 1 << 16;
  char *text = malloc(room);
  for (*length = 0; text != NULL;) {
    *length += fread(text + *length, 1, room - *length - 1, file);
    if (feof(file) || ferror(file)) break;
    if (*length == room - 1) text = realloc(text, room *= 2);
  }
  if (text == NULL || ferror(file)) {
    perror("javascript");
    exit(1);
  }
  text[*length] = '\0'; /* JS_Eval() requires it */
  return text;
}

static int compile(JSContext *context) {
  size_t length, size;
  char *text = read_all(stdin, &length);
  JSValue script = JS_Eval(context, text, length, "program", JS_EVAL_TYPE_GLOBAL | JS_EVAL_FLAG_STRICT | JS_EVAL_FLAG_COMPILE_ONLY);
  uint8_t *bytecode = JS_IsException(script) ? NULL : JS_WriteObject(context, &size, script, JS_WRITE_OBJ_BYTECODE | JS_WRITE_OBJ_STRIP_SOURCE | JS_WRITE_OBJ_STRIP_DEBUG);
  if (bytecode == NULL) {
    engine_tell(context);
    return 1;
  }
  return fwrite(bytecode, 1, size, stdout) == size && fflush(stdout) == 0 ? 0 : 1;
}

static int run(JSContext *context, const char *path) {
  size_t length;
  FILE *file = fopen(path, "r");
  if (file == NULL) {
    perror(path);
    return 1;
  }
  char *text = read_all(file, &length);
  fclose(file);
  JSValue result = JS_Eval(context, text, length, path, JS_EVAL_TYPE_GLOBAL | JS_EVAL_FLAG_STRICT);
  free(text);
  if (!JS_IsException(result)) return 0;
  engine_tell(context);
  return 1;
}

int main(int argc, char **argv) {
  JSContext *context = engine_start();
  JS_AddIntrinsicEval(context);
  if (argc == 2 && strcmp(argv[1], "compile") == 0) return compile(context);
  for (int i = 2; i < argc; i++)
    if (run(context, argv[i]) != 0) return 1;
  return 0;
}
