/**
 * docker, and podman with its docker-compatible API: both listen on a unix socket.
 * https://docs.docker.com/reference/api/engine/
 */
import * as v from 'valibot';
import { object, parse } from '../../cni/schema.ts';
import { NetloomError } from '../../error.ts';
import { tryStat } from '../../ffi/file.ts';
import type { Engine, EngineContainer } from './engine.ts';
import { get } from './http.ts';

const CONTAINER = object({
  Id: v.string(),
  Name: v.optional(v.string(), ''),
  State: object({ Running: v.optional(v.boolean(), false), Pid: v.optional(v.number(), 0) }),
});
const LIST = v.array(object({ Id: v.string() }));
const FAILURE = object({ message: v.optional(v.string(), '') });

/**
 * An engine with docker's API.
 * @param host from the environment (DOCKER_HOST, CONTAINER_HOST): `unix:///path`
 * @param socket its path otherwise
 */
export function dockerLike(name: string, host: string | undefined, socket: string): Engine {
  const path = host?.startsWith('unix://') === true ? host.slice('unix://'.length) : socket;
  return {
    name,
    isHere: () => tryStat(path) !== undefined,
    find(word) {
      const json = ask(name, path, `/containers/${encodeURIComponent(word)}/json`);
      return json === undefined ? undefined : containerOf(name, json);
    },
    running() {
      const all = parse(LIST, ask(name, path, '/containers/json'), unreadable(name));
      return all.flatMap(({ Id }) => {
        const json = ask(name, path, `/containers/${Id}/json`); // It may have ended since.
        return json === undefined ? [] : [containerOf(name, json)];
      });
    },
  };
}

/** @returns undefined where the engine does not have it */
function ask(engine: string, socket: string, path: string): unknown {
  const { status, json } = get(engine, socket, path);
  if (status === 200) return json;
  if (status === 404) return undefined;
  const { message } = parse(FAILURE, json ?? {}, unreadable(engine));
  // Docker answers 400 to a prefix of several ids.
  throw new NetloomError('engine-failed', `${engine} answers with status ${status}: ${message || 'no reason given'}`);
}

function containerOf(engine: string, json: unknown): EngineContainer {
  const { Id: id, Name, State } = parse(CONTAINER, json, unreadable(engine));
  return { id, name: Name.replace(/^\//, '') || id, pid: State.Running ? State.Pid : 0 };
}

function unreadable(engine: string) {
  return { code: 'engine-failed', action: `Cannot read what ${engine} answers` };
}
