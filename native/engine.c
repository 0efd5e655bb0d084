/*
 * The engine, and the global object `host` from which src/ffi/quickjs.ts makes the adapter:
 *
 *   bind(name)        a function of libc. It takes numbers, Uint8Arrays (passed by address) and null; it returns an int
 *   errno()           as the last of these calls left it
 *   address(bytes)    the address of a Uint8Array's first byte, as a bigint
 *   encode(text)      UTF-8, as a Uint8Array
 *   decode(bytes)     the text of UTF-8; invalid sequences become U+FFFD (https://encoding.spec.whatwg.org)
 *   now()             milliseconds of the monotonic clock
 *   env               the environment
 */
#define _GNU_SOURCE
#include "engine.h"
#include "memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

/*
 * A function of libc that plugins call. All arguments are words: that is how both calling conventions (System V x86-64,
 * AAPCS64) pass integers and pointers.
 */
typedef long word_function(long, long, long, long, long, long);

/* By system call, since musl before 1.2.5 has no function for it. */
static int own_statx(int directory, const char *path, int flags, unsigned mask, void *buffer) {
  return (int)syscall(SYS_statx, directory, path, flags, mask, buffer);
}

#define ARGUMENTS 6
#define LIBC(name) {#name, (word_function *)(void *)name}

static const struct {
  const char *name;
  word_function *call;
} LIBC_FUNCTIONS[] = {
    LIBC(open), LIBC(close), LIBC(read), LIBC(write), {"statx", (word_function *)(void *)own_statx}, LIBC(rename), LIBC(link), LIBC(unlink),
    LIBC(mkdir), LIBC(rmdir), LIBC(symlink), LIBC(readlink), LIBC(getdents64), LIBC(access), LIBC(utimensat), LIBC(ftruncate), LIBC(flock),
    LIBC(fsync), LIBC(ioctl), LIBC(lseek), LIBC(fcntl), LIBC(pipe2), LIBC(memfd_create), LIBC(poll), LIBC(socket), LIBC(bind), LIBC(setsockopt),
    LIBC(getsockopt), LIBC(sendto), LIBC(recvfrom), LIBC(unshare), LIBC(setns), LIBC(mount), LIBC(umount2), LIBC(geteuid), LIBC(getpid), LIBC(gettid),
    LIBC(getrandom), LIBC(waitpid), LIBC(kill), LIBC(execve), LIBC(_exit), LIBC(posix_spawn), LIBC(posix_spawn_file_actions_init),
    LIBC(posix_spawn_file_actions_adddup2), LIBC(posix_spawn_file_actions_destroy), LIBC(posix_spawnattr_init), LIBC(posix_spawnattr_setflags),
    LIBC(posix_spawnattr_setsigdefault), LIBC(posix_spawnattr_setsigmask), LIBC(posix_spawnattr_destroy),
};

#define COUNT(array) (sizeof array / sizeof *array)

/* errno of the last call. Kept here because the engine itself may call libc before it is read. */
static int last_errno;

/* @returns -1 with an exception where the value is neither a number nor a Uint8Array nor null */
static int word_of(JSContext *context, JSValueConst value, long *word) {
  int64_t number;
  size_t size;
  if (JS_IsNumber(value)) {
    if (JS_ToInt64(context, &number, value) < 0) return -1;
    *word = (long)number;
  } else if (JS_IsNull(value)) {
    *word = 0;
  } else {
    uint8_t *bytes = JS_GetUint8Array(context, &size, value);
    if (bytes == NULL && JS_HasException(context)) return -1;
    *word = (long)bytes;
  }
  return 0;
}

static JSValue call_libc(JSContext *context, JSValueConst this, int count, JSValueConst *arguments, int index) {
  long words[ARGUMENTS] = {0};
  (void)this;
  if (count > ARGUMENTS) return JS_ThrowTypeError(context, "%s takes at most %d arguments", LIBC_FUNCTIONS[index].name, ARGUMENTS);
  for (int i = 0; i < count; i++)
    if (word_of(context, arguments[i], &words[i]) < 0) return JS_EXCEPTION;
  long result = LIBC_FUNCTIONS[index].call(words[0], words[1], words[2], words[3], words[4], words[5]);
  last_errno = errno;
  return JS_NewInt32(context, (int32_t)result); /* no call here returns more, and C's -1 survives the narrowing */
}

static JSValue host_bind(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)this, (void)count;
  const char *name = JS_ToCString(context, arguments[0]);
  JSValue function = JS_UNDEFINED;
  if (name == NULL) return JS_EXCEPTION;
  for (size_t i = 0; i < COUNT(LIBC_FUNCTIONS); i++)
    if (strcmp(LIBC_FUNCTIONS[i].name, name) == 0) function = JS_NewCFunctionMagic(context, call_libc, name, ARGUMENTS, JS_CFUNC_generic_magic, (int)i);
  if (JS_IsUndefined(function)) JS_ThrowTypeError(context, "native/engine.c has no %s", name), function = JS_EXCEPTION;
  JS_FreeCString(context, name);
  return function;
}

static JSValue host_errno(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)this, (void)count, (void)arguments;
  return JS_NewInt32(context, last_errno);
}

static JSValue host_address(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)this, (void)count;
  long word;
  if (word_of(context, arguments[0], &word) < 0) return JS_EXCEPTION;
  return JS_NewBigUint64(context, (uint64_t)word);
}

static JSValue host_encode(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)this, (void)count;
  size_t length;
  const char *text = JS_ToCStringLen(context, &length, arguments[0]);
  if (text == NULL) return JS_EXCEPTION;
  JSValue bytes = JS_NewUint8ArrayCopy(context, (const uint8_t *)text, length);
  JS_FreeCString(context, text);
  return bytes;
}

/* @returns the length of the character that begins here, or minus the length of an invalid sequence */
static int character(const uint8_t *at, size_t left) {
  uint8_t first = at[0], low = 0x80, high = 0xbf;
  if (first < 0x80) return 1;
  int length = first >= 0xc2 && first <= 0xdf ? 2 : (first & 0xf0) == 0xe0 ? 3 : first >= 0xf0 && first <= 0xf4 ? 4 : 0;
  if (first == 0xe0) low = 0xa0;  /* overlong forms */
  if (first == 0xed) high = 0x9f; /* surrogates */
  if (first == 0xf0) low = 0x90;
  if (first == 0xf4) high = 0x8f; /* above U+10FFFF */
  for (int i = 1; i < length; i++, low = 0x80, high = 0xbf)
    if ((size_t)i >= left || at[i] < low || at[i] > high) return -i;
  return length == 0 ? -1 : length;
}

/* NB: QuickJS's own functions accept half a surrogate pair as a character. */
static JSValue text_of(JSContext *context, const uint8_t *bytes, size_t size) {
  static const char REPLACEMENT[] = "\xef\xbf\xbd";
  size_t valid = 0, length = 0;
  for (int step; valid < size && (step = character(bytes + valid, size - valid)) > 0;) valid += (size_t)step;
  if (valid == size) return JS_NewStringLen(context, (const char *)bytes, size);
  char *text = js_malloc(context, valid + (size - valid) * (sizeof REPLACEMENT - 1));
  if (text == NULL) return JS_EXCEPTION;
  for (size_t at = 0; at < size;) {
    int step = character(bytes + at, size - at), part = step > 0 ? step : (int)sizeof REPLACEMENT - 1;
    memcpy(text + length, step > 0 ? (const char *)bytes + at : REPLACEMENT, (size_t)part);
    length += (size_t)part;
    at += (size_t)abs(step);
  }
  JSValue decoded = JS_NewStringLen(context, text, length);
  js_free(context, text);
  return decoded;
}

static JSValue host_decode(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)this, (void)count;
  size_t size = 0;
  const uint8_t *bytes = JS_GetUint8Array(context, &size, arguments[0]);
  if (bytes == NULL && JS_HasException(context)) return JS_EXCEPTION;
  return text_of(context, bytes, size);
}

static JSValue host_now(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)this, (void)count, (void)arguments;
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return JS_NewFloat64(context, (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6);
}

static const JSCFunctionListEntry HOST_FUNCTIONS[] = {
    JS_CFUNC_DEF("bind", 1, host_bind),     JS_CFUNC_DEF("errno", 0, host_errno),   JS_CFUNC_DEF("address", 1, host_address),
    JS_CFUNC_DEF("encode", 1, host_encode), JS_CFUNC_DEF("decode", 1, host_decode), JS_CFUNC_DEF("now", 0, host_now),
};

/* NB: if a name comes twice, the first one counts, as for getenv(3). */
static JSValue environment(JSContext *context) {
  JSValue object = JS_NewObject(context);
  for (char **variable = environ; *variable != NULL; variable++) {
    const char *equals = strchr(*variable, '=');
    if (equals == NULL) continue;
    JSValue name = text_of(context, (const uint8_t *)*variable, (size_t)(equals - *variable));
    JSAtom key = JS_ValueToAtom(context, name);
    if (JS_GetOwnProperty(context, NULL, object, key) == 0)
      JS_DefinePropertyValue(context, object, key, text_of(context, (const uint8_t *)equals + 1, strlen(equals + 1)), JS_PROP_C_W_E);
    JS_FreeAtom(context, key);
    JS_FreeValue(context, name);
  }
  return object;
}

/*
 * How much of the stack the engine may use before it throws. Arguments and environment may take a quarter of the stack
 * (execve(2)), and C code needs some after the engine has stopped.
 */
static size_t stack_size(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur / 2 > JS_DEFAULT_STACK_SIZE) return JS_DEFAULT_STACK_SIZE;
  return limit.rlim_cur / 2;
}

JSContext *engine_start(void) {
  JSRuntime *runtime = JS_NewRuntime2(&memory_functions, NULL);
  JSContext *context = runtime == NULL ? NULL : JS_NewContextRaw(runtime);
  if (context == NULL) {
    dprintf(2, "netloom: no memory to begin with\n");
    _exit(1);
  }
  JS_SetMaxStackSize(runtime, stack_size());
  /* A call ends before collecting cycles pays off; objects outside cycles are freed at once in any case. */
  JS_SetGCThreshold(runtime, (size_t)64 << 20);
  /* The parts of the language that plugins use, and no more: each of them creates objects at every start. */
  JS_AddIntrinsicBaseObjects(context);
  JS_AddIntrinsicDate(context);
  JS_AddIntrinsicRegExp(context);
  JS_AddIntrinsicJSON(context);
  JS_AddIntrinsicMapSet(context);
  JS_AddIntrinsicTypedArrays(context);
  JS_AddIntrinsicBigInt(context);
  JS_AddIntrinsicWeakRef(context); /* with WeakMap */
  JS_AddIntrinsicPromise(context); /* valibot has async functions */
  JSValue global = JS_GetGlobalObject(context), host = JS_NewObject(context);
  JS_SetPropertyFunctionList(context, host, HOST_FUNCTIONS, COUNT(HOST_FUNCTIONS));
  JS_SetPropertyStr(context, host, "env", environment(context));
  JS_SetPropertyStr(context, global, "host", host);
  JS_FreeValue(context, global);
  /* As Bun and Node do: writing to a closed pipe is an error to report, not a fatal signal. */
  signal(SIGPIPE, SIG_IGN);
  return context;
}

void engine_tell(JSContext *context) {
  JSValue thrown = JS_GetException(context);
  JSValue stack = JS_IsObject(thrown) ? JS_GetPropertyStr(context, thrown, "stack") : JS_UNDEFINED;
  const char *text = JS_ToCString(context, thrown), *trace = JS_IsString(stack) ? JS_ToCString(context, stack) : NULL;
  dprintf(2, "netloom: %s\n%s", text == NULL ? "something was thrown that has no words" : text, trace == NULL ? "" : trace);
}

int engine_run(JSContext *context, const uint8_t *bytecode, size_t size) {
  JSValue script = JS_ReadObject(context, bytecode, size, JS_READ_OBJ_BYTECODE);
  JSValue result = JS_IsException(script) ? JS_EXCEPTION : JS_EvalFunction(context, script);
  if (JS_IsException(result)) {
    engine_tell(context);
    return -1;
  }
  JS_FreeValue(context, result);
  return 0;
}
