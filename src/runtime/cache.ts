/**
 * Attachments in libcni's own files, so that each runtime of the machine sees those of the others: one file per
 * attachment, with the configuration and the arguments that it was made with, and its result. libcni/api.go,
 * cachedInfo.
 */
import * as v from 'valibot';
import { readJson } from '../cni/json.ts';
import { looseObject, object, parse, type Source } from '../cni/schema.ts';
import { hasCode, messageOf, NetloomError } from '../error.ts';
import { tryList } from '../ffi/directory.ts';
import { makeDirectories, replaceText, tryReadText, unlink } from '../ffi/file.ts';
import type { Json } from './conflist.ts';
import type { Endpoint } from './invoke.ts';

const KIND = 'cniCacheV1';

/** An attachment as its file describes it. */
export interface CachedAttachment extends Endpoint {
  readonly network: string;
  /** The text of the conflist that it was made with. */
  readonly config: string;
  /** The result of the chain; missing where the file has none. */
  readonly result?: Json;
}

const SCHEMA = object({
  kind: v.literal(KIND),
  containerId: v.string(),
  config: v.string(),
  ifName: v.string(),
  networkName: v.string(),
  netns: v.optional(v.string(), ''),
  cniArgs: v.optional(v.array(v.tuple([v.string(), v.string()])), []),
  capabilityArgs: v.optional(looseObject({}), {}),
  result: v.exactOptional(looseObject({})),
});

export class AttachmentCache {
  /** `/var/lib/cni/results` */
  readonly directory: string;

  /** @param cni libcni's directory */
  constructor(cni: string) {
    this.directory = `${cni}/results`;
  }

  put(attachment: CachedAttachment): void {
    const { network, containerId, ifname, netns, args, capabilityArgs, config, result } = attachment;
    makeDirectories(this.directory, 0o700);
    const info = {
      kind: KIND,
      containerId,
      config: base64(config),
      ifName: ifname,
      networkName: network,
      netns,
      ...(args.length > 0 && { cniArgs: args }),
      ...(Object.keys(capabilityArgs).length > 0 && { capabilityArgs }),
      ...(result !== undefined && { result }),
    };
    replaceText(this.#file(network, containerId, ifname), JSON.stringify(info), 0o600);
  }

  /** Undefined where there is none. @throws NetloomError damaged-file */
  get(network: string, containerId: string, ifname: string): CachedAttachment | undefined {
    const file = this.#file(network, containerId, ifname);
    const text = tryReadText(file);
    return text === undefined ? undefined : read(text, file);
  }

  /** As get(), but undefined where the file is damaged: that is no reason to keep the attachment. */
  tryGet(network: string, containerId: string, ifname: string): CachedAttachment | undefined {
    try {
      return this.get(network, containerId, ifname);
    } catch (error) {
      if (hasCode(error, 'damaged-file')) return undefined;
      throw error;
    }
  }

  /** @returns false where there was none */
  remove(network: string, containerId: string, ifname: string): boolean {
    return unlink(this.#file(network, containerId, ifname));
  }

  /** Every attachment that any runtime has written here. A damaged file is reported and left alone. */
  list(warn: (message: string) => void): CachedAttachment[] {
    return (tryList(this.directory) ?? []).sort().flatMap((name) => {
      const file = `${this.directory}/${name}`;
      try {
        // Another process may be writing a temporary file (`*.tmp`), or have removed the file since.
        const text = name.endsWith('.tmp') ? undefined : tryReadText(file);
        return text === undefined ? [] : [read(text, file)];
      } catch (error) {
        warn(messageOf(error));
        return [];
      }
    });
  }

  #file(network: string, containerId: string, ifname: string): string {
    return `${this.directory}/${network}-${containerId}-${ifname}`;
  }
}

function read(text: string, file: string): CachedAttachment {
  const source: Source = { code: 'damaged-file', action: `Cannot read the attachment of "${file}"` };
  const info = parse(SCHEMA, readJson(text, source), source);
  return {
    network: info.networkName,
    containerId: info.containerId,
    ifname: info.ifName,
    netns: info.netns,
    args: info.cniArgs,
    capabilityArgs: info.capabilityArgs,
    config: unbase64(info.config, source),
    ...(info.result !== undefined && { result: info.result }),
  };
}

function base64(text: string): string {
  return new TextEncoder().encode(text).toBase64();
}

function unbase64(text: string, { code, action }: Source): string {
  try {
    return new TextDecoder().decode(Uint8Array.fromBase64(text));
  } catch (cause) {
    throw new NetloomError(code, `${action}: "config" is not in base64`, { cause });
  }
}
