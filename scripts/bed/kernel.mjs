/**
 * Kernels of Debian for the virtual machine: the package of a series, by apt from the mirrors that this machine has
 * configured, unpacked into a cache. Only its files are used; nothing is installed. apt keeps its lists beside them, so
 * the machine's own stay as they are.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** The series that can be booted: Debian 12's own kernel, and the one of its backports and of Debian 13. */
export const SERIES = ['6.1', '6.12'];

export const CACHE = process.env.NETLOOM_VM_CACHE || join(homedir(), '.cache/netloom/vm');

/** Debian's own keys. Without the file, those that apt trusts for every source. */
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/**
 * A kernel of a series; fetched where the cache has none. To get a newer one, remove the cache.
 * @returns {{version: string, image: string, modules: string}} `uname -r`, the image, and the directory that belongs at
 * /lib/modules/<version>
 */
export function kernel(series) {
  const dir = join(CACHE, `linux-${series}`);
  if (!existsSync(dir)) fetch(series, dir);
  const modules = existsSync(join(dir, 'usr/lib/modules')) ? join(dir, 'usr/lib/modules') : join(dir, 'lib/modules');
  const [version] = readdirSync(modules);
  return { version, image: join(dir, `boot/vmlinuz-${version}`), modules: join(modules, version) };
}

/** It appears in the cache only when it is whole. */
function fetch(series, dir) {
  mkdirSync(CACHE, { recursive: true });
  const work = mkdtempSync(join(CACHE, 'fetch-'));
  try {
    const name = download(series, work);
    const [deb] = readdirSync(work).filter((file) => file.endsWith('.deb'));
    console.log(`vm: unpacking ${name}`);
    execFileSync('dpkg', ['-x', join(work, deb), join(work, 'unpacked')]);
    const base = existsSync(join(work, 'unpacked/usr/lib/modules')) ? 'unpacked/usr' : 'unpacked';
    const [version] = readdirSync(join(work, base, 'lib/modules'));
    execFileSync('depmod', ['-b', join(work, base), version], {
      env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` },
    });
    renameSync(join(work, 'unpacked'), dir);
  } finally {
    rmSync(work, { recursive: true });
  }
}

/** The newest package of a series: from the suites that are configured, else from the backports of the same mirror. */
function download(series, work) {
  const suites = configured();
  const own = suites.map(({ line }) => line);
  const backports = suites
    .filter(({ isBase }) => isBase)
    .map(({ line, release }) => line.replace(` ${release} `, ` ${release}-backports `));
  for (const sources of [own, [...own, ...backports]]) {
    const apt = aptOf(sources, work);
    // A mirror that fails is no reason to end: what is asked for may be in another suite. Where it is not, that is said
    // below.
    spawnSync('apt-get', [...apt, '-q', 'update'], { stdio: 'ignore' });
    const name = newest(
      series,
      execFileSync('apt-cache', [...apt, 'search', '--names-only', `^linux-image-${series}`], { encoding: 'utf8' }),
    );
    if (name === undefined) continue;
    console.log(`vm: fetching ${name}`);
    execFileSync('apt-get', [...apt, '-q', 'download', name], { cwd: work, stdio: ['ignore', 'ignore', 'inherit'] });
    return name;
  }
  throw new Error(
    `no package linux-image-${series}.*-amd64 in the suites that apt has configured, nor in their backports`,
  );
}

/** Debian's suites among those that apt has configured, as lines of a sources.list. */
function configured() {
  const codename = /^VERSION_CODENAME=(.*)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1];
  const format = '$(REPO_URI) $(RELEASE) $(COMPONENT)';
  const signed = existsSync(KEYRING) ? `[signed-by=${KEYRING}] ` : '';
  const targets = execFileSync('apt-get', ['indextargets', '--format', format, 'Created-By: Packages'], {
    encoding: 'utf8',
  });
  return [...new Set(targets.split('\n'))]
    .map((target) => target.split(' '))
    .filter(([, release]) => release === codename || release?.startsWith(`${codename}-`))
    .map(([uri, release, component]) => ({
      line: `deb ${signed}${uri} ${release} ${component}`,
      release,
      isBase: release === codename,
    }));
}

/** Options by which apt uses these sources, and lists of its own. */
function aptOf(sources, work) {
  const lists = join(work, 'lists');
  mkdirSync(join(lists, 'partial'), { recursive: true });
  writeFileSync(join(work, 'sources.list'), `${sources.join('\n')}\n`);
  const settings = {
    'Dir::Etc::SourceList': join(work, 'sources.list'),
    'Dir::Etc::SourceParts': '/dev/null',
    'Dir::State::Lists': lists,
    'Dir::Cache::pkgcache': '',
    'Dir::Cache::srcpkgcache': '',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '3',
    'APT::Sandbox::User': 'root', // the cache may lie where no other user may write
  };
  return Object.entries(settings).flatMap(([key, value]) => ['-o', `${key}=${value}`]);
}

/** Neither the cloud flavour (it has few modules) nor the real-time one. */
function newest(series, found) {
  const pattern = new RegExp(`^linux-image-${series.replace('.', '\\.')}\\.[0-9][^ ]*-amd64(?= )`, 'gm');
  const names = (found.match(pattern) ?? []).filter((name) => !/cloud|-rt-/.test(name));
  return names.sort((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1);
}
