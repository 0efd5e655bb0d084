/**
 * The store in which all machines of a cluster find each other, as a parameter: every test of shared nodes runs with
 * any store.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Json } from '../../support/lab.ts';

/** A node in the store. */
export interface StoredNode {
  readonly name: string;
  readonly address: string;
  readonly subnet: string;
}

export interface SharedStore {
  /** The key `store` of every machine's configuration. */
  readonly conf: Json;
  nodes(): StoredNode[] | Promise<StoredNode[]>;
  /** Makes it unreachable until `restore()`. */
  takeAway(): void | Promise<void>;
  restore(): void | Promise<void>;
  /** Does something that changes no node: what the store, or its administrator, may do at any time. */
  disturb(kind: number): void | Promise<void>;
}

/** A directory shared by all machines. */
export class DirectoryStore implements SharedStore {
  readonly path: string;
  readonly conf: Json;

  /** @param network the network whose store it is */
  constructor(root: string, network = 'net') {
    this.path = join(root, `store of ${network}`);
    this.conf = { type: 'file', path: this.path };
    mkdirSync(this.path);
    writeFileSync(join(this.path, 'network'), `${network}\n`);
  }

  nodes(): StoredNode[] {
    return this.#records().map((name) => JSON.parse(readFileSync(join(this.path, name), 'utf8')) as StoredNode);
  }

  takeAway(): void {
    renameSync(this.path, this.#aside);
  }

  restore(): void {
    renameSync(this.#aside, this.path);
  }

  /** Replaces every file by one with the same content; or adds a file that is not a node. */
  disturb(kind: number): void {
    if (kind % 2 === 0) {
      for (const name of this.#records()) {
        const beside = join(this.path, `.${name}.new`);
        writeFileSync(beside, readFileSync(join(this.path, name)));
        renameSync(beside, join(this.path, name));
      }
      return;
    }
    const damaged = join(this.path, '10.96.0.0_24.json');
    writeFileSync(`${damaged}.new`, '{"name": ');
    renameSync(`${damaged}.new`, `${damaged}.torn.json`);
  }

  get #aside(): string {
    return `${this.path}.away`;
  }

  #records(): string[] {
    return readdirSync(this.path).filter((name) => name.endsWith('.json') && !name.endsWith('.torn.json'));
  }
}
