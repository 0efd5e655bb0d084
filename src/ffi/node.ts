/** The adapter for Node 26, which the tests run on. https://nodejs.org/api/ffi.html */
import { dlopen, type FunctionDefinitions, type FunctionSignature, getInt32, getRawPointer } from 'node:ffi';
import type { Adapter, CType, Functions, Signatures } from './types.ts';

const LIBC = 'libc.so.6';

/**
 * `size` as uint32: the System V and AAPCS calling conventions zero-extend it, and the number need not become a bigint.
 */
const NODE_TYPES = {
  i32: 'int32',
  u32: 'uint32',
  size: 'uint32',
  ptr: 'pointer',
  void: 'void',
} as const satisfies Record<CType | 'void', string>;

let errnoLocation: bigint | undefined;

export const adapter: Adapter = {
  load<const T extends Signatures>(signatures: T): Functions<T> {
    const definitions: Record<string, FunctionSignature> = {
      __errno_location: { arguments: [], return: 'pointer' },
    };
    for (const [name, { args, returns }] of Object.entries(signatures)) {
      definitions[name] = {
        arguments: args.map((type) => NODE_TYPES[type]),
        return: NODE_TYPES[returns],
      };
    }
    const functions = dlopen(LIBC, definitions as FunctionDefinitions).functions as unknown as Functions<T> & {
      __errno_location: () => bigint;
    };
    errnoLocation ??= functions.__errno_location();
    return functions;
  },
  errno(): number {
    return errnoLocation === undefined ? 0 : getInt32(errnoLocation, 0);
  },
  address(buffer: Uint8Array): bigint {
    return getRawPointer(buffer);
  },
};
