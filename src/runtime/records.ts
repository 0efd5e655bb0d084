/**
 * What netloom remembers across boots: one JSON file per record, validated when read. A damaged file is set aside and
 * reported, never overwritten.
 */
import type * as v from 'valibot';
import { readJson } from '../cni/json.ts';
import { parse, type Source } from '../cni/schema.ts';
import { messageOf } from '../error.ts';
import { tryList } from '../ffi/directory.ts';
import { makeDirectories, rename, replaceText, tryReadText, unlink } from '../ffi/file.ts';

const EXTENSION = '.json';
/** The extension of a file that was set aside. */
const DAMAGED = `${EXTENSION}.damaged`;

export class Records<const S extends v.GenericSchema> {
  readonly #directory: string;
  readonly #schema: () => S;
  readonly #warn: (message: string) => void;

  /** @param schema of a record */
  constructor(directory: string, schema: () => S, warn: (message: string) => void) {
    this.#directory = directory;
    this.#schema = schema;
    this.#warn = warn;
  }

  put(name: string, record: v.InferInput<S>): void {
    makeDirectories(this.#directory, 0o700);
    replaceText(this.#file(name), `${JSON.stringify(record, null, 2)}\n`);
  }

  /** Undefined where there is none, or only a damaged one. */
  get(name: string): v.InferOutput<S> | undefined {
    const file = this.#file(name);
    const text = tryReadText(file);
    if (text === undefined) return undefined;
    try {
      return read(text, file, this.#schema());
    } catch (error) {
      rename(file, this.fileOfDamaged(name));
      this.#warn(`${messageOf(error)}; it was set aside as "${this.fileOfDamaged(name)}"`);
      return undefined;
    }
  }

  /** @param part only records whose names contain it are read */
  list(part = ''): v.InferOutput<S>[] {
    return this.names(part).flatMap((name) => this.get(name) ?? []);
  }

  /** The names of the records, without reading them. @param part as for list() */
  names(part = ''): string[] {
    return this.#ending(EXTENSION).filter((name) => name.includes(part));
  }

  /** The names of records that were set aside as damaged and not replaced since. */
  damaged(): string[] {
    const present = this.names();
    return this.#ending(DAMAGED).filter((name) => !present.includes(name));
  }

  fileOfDamaged(name: string): string {
    return `${this.#directory}/${name}${DAMAGED}`;
  }

  /** @returns false where there was none */
  remove(name: string): boolean {
    return unlink(this.#file(name));
  }

  /** Removes a record that was set aside. */
  removeDamaged(name: string): boolean {
    return unlink(this.fileOfDamaged(name));
  }

  #ending(extension: string): string[] {
    const files = (tryList(this.#directory) ?? []).filter((file) => file.endsWith(extension));
    return files.map((file) => file.slice(0, -extension.length)).sort();
  }

  #file(name: string): string {
    return `${this.#directory}/${name}${EXTENSION}`;
  }
}

function read<S extends v.GenericSchema>(text: string, file: string, schema: S): v.InferOutput<S> {
  const source: Source = { code: 'damaged-file', action: `Cannot read "${file}"` };
  return parse(schema, readJson(text, source), source);
}
