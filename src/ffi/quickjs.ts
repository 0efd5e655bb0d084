/** The adapter for QuickJS, which plugins run on that a runtime executes. native/engine.c has the other side. */
import type { Adapter, Functions, Signatures } from './types.ts';

/** What native/engine.c gives. */
interface Host {
  /** @throws TypeError for a function that its table has not */
  bind(name: string): (...words: (number | Uint8Array | null)[]) => number;
  errno(): number;
  address(buffer: Uint8Array): bigint;
}

declare const host: Host;

export const adapter: Adapter = {
  load<const T extends Signatures>(signatures: T): Functions<T> {
    const functions: Record<string, unknown> = {};
    for (const name in signatures) functions[name] = host.bind(name);
    return functions as Functions<T>;
  },
  errno: host.errno,
  address: host.address,
};
