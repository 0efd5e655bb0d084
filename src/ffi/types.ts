/**
 * The few C types that libc's signatures need here. `size` is size_t and off_t in arguments; `ptr` takes a Uint8Array,
 * which must live until the call returns, or null. Results are `i32`: no call here returns more than 2^31 - 1 (reads
 * are bounded), and C's -1 survives the narrowing.
 */
export type CType = 'i32' | 'u32' | 'size' | 'ptr';

export interface Signature {
  readonly args: readonly CType[];
  readonly returns: 'i32' | 'void';
}

export type Signatures = Readonly<Record<string, Signature>>;

type Argument<T extends CType> = T extends 'ptr' ? Uint8Array | null : number;

type Arguments<T extends readonly CType[]> = { [K in keyof T]: Argument<T[K]> };

/** The callable functions of a table of signatures. */
export type Functions<T extends Signatures> = {
  readonly [K in keyof T]: (...args: Arguments<T[K]['args']>) => T[K]['returns'] extends 'void' ? void : number;
};

/** What a runtime's adapter offers; `#ffi` resolves to one of them (package.json, "imports"). */
export interface Adapter {
  /**
   * Binds functions of libc. Costs about 5 µs per function under Bun, so bind only what a code path needs, and only
   * once.
   */
  load<const T extends Signatures>(signatures: T): Functions<T>;
  /** errno of the calling thread, as the last call left it. */
  errno(): number;
  /** The address of a buffer's first byte, for pointers inside structures. */
  address(buffer: Uint8Array): bigint;
}
