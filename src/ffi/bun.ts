/** The adapter for Bun, which the product runs on. https://bun.sh/docs/api/ffi */
import { dlopen, type FFITypeOrString, type Pointer, ptr, read } from 'bun:ffi';
import { directCalls, type Syscall } from './syscalls.ts';
import type { Adapter, CType, Functions, Signatures } from './types.ts';

const LIBC = 'libc.so.6';

const BUN_TYPES: Record<CType | 'void', FFITypeOrString> = {
  i32: 'i32',
  u32: 'u32',
  size: 'u64',
  ptr: 'ptr',
  void: 'void',
};

/**
 * NB: `ptr` takes a buffer, null, or a number, as each argument of syscall(2) may be. A small number is passed
 * unchanged, sign included.
 */
const { syscall, __errno_location } = dlopen(LIBC, {
  syscall: { args: ['i32', 'ptr', 'ptr', 'ptr', 'ptr', 'ptr', 'ptr'], returns: 'i32' },
  __errno_location: { args: [], returns: 'ptr' },
}).symbols;

const direct = directCalls(syscall as Syscall, process.arch);

/** Fixed for a thread's life; a worker loads this module anew. */
const errnoLocation = __errno_location() as Pointer;

export const adapter: Adapter = {
  load<const T extends Signatures>(signatures: T): Functions<T> {
    const functions: Record<string, unknown> = {};
    const definitions: Record<string, { args: FFITypeOrString[]; returns: FFITypeOrString }> = {};
    for (const name in signatures) {
      const { args, returns } = signatures[name] as T[typeof name];
      if (direct[name] !== undefined) functions[name] = direct[name];
      else definitions[name] = { args: args.map((type) => BUN_TYPES[type]), returns: BUN_TYPES[returns] };
    }
    const hasOthers = Object.keys(definitions).length > 0;
    if (hasOthers) Object.assign(functions, dlopen(LIBC, definitions).symbols);
    return functions as Functions<T>;
  },
  errno(): number {
    return read.i32(errnoLocation, 0);
  },
  address(buffer: Uint8Array): bigint {
    return BigInt(ptr(buffer));
  },
};
