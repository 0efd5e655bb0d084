/**
 * A plugin as an executable: one call from environment and stdin to stdout and exit status.
 * https://www.cni.dev/docs/spec/#section-2-execution-protocol
 */
import { errorsOf, hasCode, messageOf, NetloomError } from '../error.ts';
import { O, open, writeAll } from '../ffi/file.ts';
import { libc } from '../ffi/libc.ts';
import { pathsOf } from '../paths.ts';
import type { CniCall, Command, NetConf } from './call.ts';
import { readHeader } from './config.ts';
import { type CniEnvironment, type Environment, readEnvironment } from './environment.ts';
import { toCniError } from './error.ts';
import type { Plugin } from './plugin.ts';
import { CURRENT_VERSION, encodeResult, isAtLeast, SUPPORTED_VERSIONS } from './versions.ts';

/** The input and output of a call. */
export interface ServeIo {
  readonly environment: Environment;
  readStdin(): string;
  /** @param status the exit status that belongs to the text */
  writeStdout(text: string, status: number): void;
  writeStderr(text: string): void;
  /** @throws NetloomError no-namespace, not-a-namespace, own-namespace (netns.ts) */
  checkNetns(path: string): void;
}

/** The version that introduced a command; the others have been there from the start. */
const SINCE: Readonly<Partial<Record<Command, string>>> = { CHECK: '0.4.0', GC: '1.1.0', STATUS: '1.1.0' };

/** Serves one call. @returns the exit status; stdout has the result or the error object, and nothing else */
export function serve<C extends NetConf>(plugin: Plugin<C>, io: ServeIo): number {
  if ((io.environment['CNI_COMMAND'] ?? '') === '') {
    io.writeStderr(`CNI ${plugin.type} plugin of netloom: ${plugin.about}\n`);
    io.writeStderr(`CNI protocol versions supported: ${SUPPORTED_VERSIONS.join(', ')}\n`);
    return 0;
  }
  // The version for errors, until the configuration has been read.
  let version = CURRENT_VERSION;
  try {
    const environment = readEnvironment(io.environment);
    if (environment.command === 'VERSION') {
      // NB: stdin is not read. The reference does not read it either, so a runtime may leave it open.
      print(io, { cniVersion: CURRENT_VERSION, supportedVersions: SUPPORTED_VERSIONS });
      return 0;
    }
    const stdin = readStdin(io);
    const header = readHeader(stdin);
    version = header.cniVersion;
    checkCommand(environment.command, version);
    const conf = plugin.schema.read(header);
    checkPrivilege();
    const netns = checkedNetns(plugin, environment, io);
    dispatch(plugin, makeCall(plugin, environment, netns, conf, stdin, io), io);
    return 0;
  } catch (error) {
    return fail(error, version, plugin.type, io);
  }
}

/**
 * Namespaces and links need root, or the root of a user namespace. Checked at once, so that no call ends half way where
 * the kernel refuses.
 */
function checkPrivilege(): void {
  if (libc.geteuid() === 0) return;
  throw new NetloomError(
    'not-root',
    'Cannot configure networks: netloom runs as an ordinary user and needs to be root',
  );
}

function readStdin(io: ServeIo): string {
  try {
    return io.readStdin();
  } catch (cause) {
    throw new NetloomError('io-failure', `error reading from stdin: ${messageOf(cause)}`, { cause });
  }
}

function checkCommand(command: Command, version: string): void {
  const since = SINCE[command];
  if (since === undefined || isAtLeast(version, since)) return;
  throw new NetloomError('incompatible-version', `config version does not allow ${command}`, {
    details: `config is "${version}", ${command} needs "${since}" or later`,
  });
}

/**
 * The namespace that the plugin is to see. A DEL whose namespace is gone gets none: everything else still has to be
 * cleaned up. The namespace is also gone where the path now leads to the plugin's own: `/proc/PID/ns/net` of a PID that
 * another process has got.
 */
function checkedNetns(plugin: Pick<Plugin<NetConf>, 'netns'>, environment: CniEnvironment, io: ServeIo): string {
  const { command, netns } = environment;
  if (netns === '' || plugin.netns === 'any' || command === 'GC' || command === 'STATUS') return netns;
  try {
    io.checkNetns(netns);
    return netns;
  } catch (error) {
    if (hasCode(error, 'own-namespace') && environment.mayBeOwnNetns) return netns;
    if (hasCode(error, 'no-namespace', 'not-a-namespace', 'own-namespace') && command === 'DEL') return '';
    throw error;
  }
}

function makeCall<C extends NetConf>(
  plugin: Plugin<C>,
  { command, containerId, ifname, args, path }: CniEnvironment,
  netns: string,
  conf: C,
  stdin: string,
  io: ServeIo,
): CniCall<C> {
  return {
    command,
    containerId,
    netns,
    ifname,
    args,
    path,
    conf,
    stdin,
    paths: pathsOf(io.environment),
    environment: io.environment,
    warn: (message) => log(`${plugin.type}: ${message}\n`, conf.logFile, io),
  };
}

function dispatch<C extends NetConf>(plugin: Plugin<C>, call: CniCall<C>, io: ServeIo): void {
  switch (call.command) {
    case 'ADD':
      add(plugin, call, io);
      break;
    case 'DEL':
      plugin.del(call);
      break;
    case 'CHECK':
      plugin.check(call);
      break;
    case 'GC':
      if (call.conf.validAttachments === undefined) {
        throw new NetloomError(
          'invalid-config',
          'failed to load netconf: "cni.dev/valid-attachments" is missing, GC would delete every attachment',
        );
      }
      plugin.gc(call);
      break;
    case 'STATUS':
      plugin.status(call);
      break;
    case 'VERSION':
      break;
  }
}

/** An ADD whose result the runtime does not get counts as failed, so it is undone. */
function add<C extends NetConf>(plugin: Plugin<C>, call: CniCall<C>, io: ServeIo): void {
  const result = plugin.add(call);
  try {
    print(io, encodeResult(result, call.conf.cniVersion));
  } catch (error) {
    try {
      plugin.del({ ...call, command: 'DEL' });
    } catch (second) {
      call.warn(`Cannot undo the ADD: ${messageOf(second)}`);
    }
    throw error;
  }
}

function fail(thrown: unknown, version: string, type: string, io: ServeIo): number {
  const [error, ...later] = errorsOf(thrown);
  for (const failure of later) io.writeStderr(`${type}: Cannot undo all of it: ${messageOf(failure)}\n`);
  if (error instanceof Error && !(error instanceof NetloomError)) {
    io.writeStderr(`${type}: ${error.stack ?? error.message}\n`);
  }
  const object = toCniError(error, version);
  try {
    print(io, object, 1);
  } catch {
    io.writeStderr(`${type}: ${object.msg}\n`);
  }
  return 1;
}

function print(io: ServeIo, value: unknown, status = 0): void {
  io.writeStdout(`${JSON.stringify(value, null, 4)}\n`, status);
}

/** Logging never fails a call: where the file cannot be written, stderr has the line and the reason. */
function log(line: string, logFile: string | undefined, io: ServeIo): void {
  if (logFile === undefined) {
    io.writeStderr(line);
    return;
  }
  try {
    using fd = open(logFile, O.WRONLY | O.CREAT | O.APPEND, 0o600);
    writeAll(fd.number, new TextEncoder().encode(`${new Date().toISOString()} ${line}`), `"${logFile}"`);
  } catch (error) {
    io.writeStderr(`${line}(${messageOf(error)})\n`);
  }
}
