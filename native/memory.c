/*
 * An allocator for the engine, which asks for pieces of 4 KiB and more, and cuts small ones of them itself. libc's would ask the kernel for each (musl: ninety mmap(2) at
 * the start of a plugin), and take a page fault for each page of it.
 */
#define _GNU_SOURCE
#include "memory.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

/* What the kernel is asked for at once, and how much of the first is there before it is touched: a plugin's start takes that much, and 256 faults take five times as long. */
#define CHUNK ((size_t)4 << 20)
#define POPULATED ((size_t)1 << 20)
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14; where it is not known, pages come as they are touched */
#endif

/* Before each piece: its class. Four classes a doubling, so that at most a fifth is wasted. 16 bytes, which is the alignment. */
struct piece {
  union {
    size_t class;
    char alignment[16];
  };
  struct piece *next; /* of the free ones; the first bytes of what the engine has otherwise */
};

#define HEADER offsetof(struct piece, next)
#define CLASSES 256

static struct piece *unused[CLASSES];
static char *fresh, *end;

/* What is left for the error to be made, told and undone with when the kernel gives no more. Takes no memory before. */
static _Alignas(16) char reserve[256 << 10];
static int is_reserve_used;

/* @param room becomes what a piece of this class has, header included */
static size_t class_of(size_t size, size_t *room) {
  size_t last = size + HEADER < 64 ? 63 : size + HEADER - 1;
  unsigned top = 63 - (unsigned)__builtin_clzl(last), shift = top - 2;
  *room = ((last >> shift) + 1) << shift;
  return (size_t)top << 2 | (last >> shift & 3);
}

static size_t room_of(size_t class) { return ((class & 3) + 5) << ((class >> 2) - 2); }

static int more(size_t room) {
  size_t size = room < CHUNK ? CHUNK : room;
  char *chunk = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (chunk == MAP_FAILED) {
    if (!is_reserve_used && (size_t)(end - fresh) < sizeof reserve) {
      fresh = reserve;
      end = reserve + sizeof reserve;
      is_reserve_used = 1;
    }
    return -1;
  }
  if (end == NULL) madvise(chunk, POPULATED, MADV_POPULATE_WRITE);
  fresh = chunk; /* what was left of the one before is not used any more: it was too small for this */
  end = chunk + size;
  return 0;
}

static void *take(void *opaque, size_t size) {
  (void)opaque;
  size_t room, class;
  if (size > PTRDIFF_MAX / 2) return NULL;
  class = class_of(size, &room);
  struct piece *piece = unused[class];
  if (piece != NULL) {
    unused[class] = piece->next;
  } else {
    if ((size_t)(end - fresh) < room && more(room) < 0) return NULL;
    piece = (struct piece *)fresh;
    fresh += room;
    piece->class = class;
  }
  return &piece->next;
}

static struct piece *piece_of(const void *data) { return (struct piece *)((char *)data - HEADER); }

static void give(void *opaque, void *data) {
  (void)opaque;
  if (data == NULL) return;
  struct piece *piece = piece_of(data);
  piece->next = unused[piece->class];
  unused[piece->class] = piece;
}

static size_t usable(const void *data) { return data == NULL ? 0 : room_of(piece_of(data)->class) - HEADER; }

static void *change(void *opaque, void *data, size_t size) {
  if (data != NULL && size <= usable(data)) return data;
  void *larger = take(opaque, size);
  if (larger != NULL && data != NULL) {
    memcpy(larger, data, usable(data));
    give(opaque, data);
  }
  return larger;
}

static void *take_zeroed(void *opaque, size_t count, size_t size) {
  size_t all;
  if (__builtin_mul_overflow(count, size, &all)) return NULL;
  void *data = take(opaque, all);
  return data == NULL ? NULL : memset(data, 0, all);
}

const JSMallocFunctions memory_functions = {take_zeroed, take, give, change, usable};
