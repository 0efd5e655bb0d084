/**
 * The globals of Node and Bun that plugins use, for QuickJS, which implements only the language. A program of its own,
 * which native/cni.c runs before that of the plugin: modules use these while they are loaded.
 */

/** Provided by native/engine.c. */
interface Host {
  readonly env: Record<string, string>;
  now(): number;
  /** NB: half a surrogate pair becomes invalid UTF-8. */
  encode(text: string): Uint8Array;
  decode(bytes: Uint8Array): string;
}

declare const host: Host;

/** https://encoding.spec.whatwg.org, for UTF-8 and without streams. */
class Encoder {
  encode(text = ''): Uint8Array {
    return host.encode(text.isWellFormed() ? text : text.toWellFormed());
  }
}

const BOM = '\uFEFF';

class Decoder {
  readonly #ignoreBom: boolean;

  constructor(_label?: string, options?: { readonly ignoreBOM?: boolean }) {
    this.#ignoreBom = options?.ignoreBOM === true;
  }

  decode(bytes = new Uint8Array()): string {
    const text = host.decode(bytes);
    return !this.#ignoreBom && text.startsWith(BOM) ? text.slice(1) : text;
  }
}

Object.assign(globalThis, {
  process: { env: host.env },
  performance: { now: host.now },
  TextEncoder: Encoder,
  TextDecoder: Decoder,
});
