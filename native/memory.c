/*
 * An allocator for the engine. The engine requests pieces of 4 KiB and more, and cuts small ones from them itself. libc
 * would ask the kernel for each piece (with musl ninety mmap(2) at the start of a plugin), with a page fault for each
 * of its pages.
 */
#define _GNU_SOURCE
#include "memory.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

/*
 * The size of a chunk from the kernel, and how much of the first chunk is populated before it is touched: the start of
 * a plugin uses that much, and 256 page faults take five times as long.
 */
#define CHUNK ((size_t)4 << 20)
#define POPULATED ((size_t)1 << 20)
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14; older kernels add pages as they are touched */
#endif

/*
 * The header of each piece: its size class. There are four classes per doubling, so at most a fifth is wasted. It has
 * 16 bytes, which is the alignment.
 */
struct piece {
  union {
    size_t class;
    char alignment[16];
  };
  struct piece *next; /* the next free one; in a piece that is in use, the first bytes of its data */
};

#define HEADER offsetof(struct piece, next)
#define CLASSES 256

static struct piece *unused[CLASSES];
static char *fresh, *end;

/* For creating, reporting and unwinding the error when the kernel gives no more memory. Takes no memory before that. */
static _Alignas(16) char reserve[256 << 10];
static int is_reserve_used;

/* @param room is set to the size of a piece of this class, header included */
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
  fresh = chunk; /* the rest of the previous chunk is lost: it was too small for this piece */
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
