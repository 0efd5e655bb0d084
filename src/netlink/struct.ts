/**
 * Fixed structures, such as the header of each kind of message: a list of `name: codec` in the order of the C struct.
 */
import { malformed } from './attribute.ts';
import type { Codec } from './codec.ts';
import type { Writer } from './writer.ts';

export type Fields = Readonly<Record<string, Codec<number>>>;

export type StructOf<F extends Fields> = { readonly [K in keyof F]?: number };

/** A C struct whose fields are numbers. A field without a value is zero. */
export interface Struct<F extends Fields> {
  readonly fields: F;
  /** Bytes, padding to 4 included. */
  readonly size: number;
  write(out: Writer, value: StructOf<F>): void;
  read(view: DataView): { readonly [K in keyof F]: number };
}

/** A struct as the payload of an attribute. Kernels append fields: bytes beyond the known ones are ignored. */
export function structCodec<F extends Fields>(name: string, { write, read }: Struct<F>): Codec<StructOf<F>> {
  return { name, write, read };
}

export function struct<const F extends Fields>(fields: F): Struct<F> {
  const entries = Object.entries(fields);
  let bare = 0;
  for (const [, codec] of entries) bare += codec.size ?? 0;
  const size = (bare + 3) & ~3;
  return {
    fields,
    size,
    write(out, value) {
      for (const [name, codec] of entries) codec.write(out, value[name] ?? 0);
      out.zeros(size - bare);
    },
    read(view) {
      if (view.byteLength < size) {
        throw malformed(`its header has ${size} bytes, ${view.byteLength} are there`);
      }
      const value: Record<string, number> = {};
      let at = 0;
      for (const [name, codec] of entries) {
        const length = codec.size ?? 0;
        value[name] = codec.readAt?.(view, at) ?? codec.read(new DataView(view.buffer, view.byteOffset + at, length));
        at += length;
      }
      return value as { readonly [K in keyof F]: number };
    },
  };
}
