/** The adapter for QuickJS, which runs the plugins that a runtime executes. Its counterpart is native/engine.c. */
import type { Adapter, Functions, Signatures } from './types.ts';

/** Provided by native/engine.c. */
interface Host {
  /** @throws TypeError for a function that is not in its table */
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
