/** The adapter for Bun, which the product runs on. https://bun.sh/docs/api/ffi */
import { dlopen, type FFITypeOrString, type Pointer, ptr, read } from 'bun:ffi';
import type { Adapter, CType, Functions, Signatures } from './types.ts';

const LIBC = 'libc.so.6';

const BUN_TYPES: Record<CType | 'void', FFITypeOrString> = {
  i32: 'i32',
  u32: 'u32',
  size: 'u64',
  ptr: 'ptr',
  void: 'void',
};

/** __errno_location() is fixed for a thread's life; a worker loads this module anew. */
let errnoLocation: Pointer | undefined;

export const adapter: Adapter = {
  load<const T extends Signatures>(signatures: T): Functions<T> {
    const definitions: Record<string, { args: FFITypeOrString[]; returns: FFITypeOrString }> = {};
    for (const [name, { args, returns }] of Object.entries(signatures)) {
      definitions[name] = { args: args.map((type) => BUN_TYPES[type]), returns: BUN_TYPES[returns] };
    }
    if (errnoLocation === undefined) {
      definitions['__errno_location'] = { args: [], returns: 'ptr' };
    }
    const symbols = dlopen(LIBC, definitions).symbols as unknown as Functions<T> & {
      __errno_location?: () => Pointer;
    };
    errnoLocation ??= symbols.__errno_location?.();
    return symbols;
  },
  errno(): number {
    return errnoLocation === undefined ? 0 : read.i32(errnoLocation, 0);
  },
  address(buffer: Uint8Array): bigint {
    return BigInt(ptr(buffer));
  },
};
