/**
 * Debian's kernels for the virtual machine. apt fetches the package of a series from the configured mirrors, and it is
 * unpacked into a cache. Only its files are used; nothing is installed. apt keeps its lists beside them, so the
 * machine's own lists stay as they are.
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

/** The series that can be booted: Debian 12's own kernel, and that of its backports and of Debian 13. */
export const SERIES = ['6.1', '6.12'];

export const CACHE = process.env.NETLOOM_VM_CACHE || join(homedir(), '.cache/netloom/vm');

/** Debian's own keys. If the file is missing, apt uses the keys that it trusts for every source. */
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/**
 * A kernel of a series, fetched if it is not in the cache. To get a newer one, remove the cache.
 * @returns {{version: string, image: string, modules: string}} `uname -r`, the image, and the directory for
 * /lib/modules/<version>
 */
export function kernel(series) {
  const dir = join(CACHE, `linux-${series}`);
  if (!existsSync(dir)) fetch(series, dir);
  const modules = existsSync(join(dir, 'usr/lib/modules')) ? join(dir, 'usr/lib/modules') : join(dir, 'lib/modules');
  const [version] = readdirSync(modules);
  return { version, image: join(dir, `boot/vmlinuz-${version}`), modules: join(modules, version) };
}

/** Fetches a kernel. It appears in the cache only when it is complete. */
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

/** Downloads the newest package of a series: from the configured suites, else from the backports of the same mirror. */
function download(series, work) {
  const suites = configured();
  const own = suites.map(({ line }) => line);
  const backports = suites
    .filter(({ isBase }) => isBase)
    .map(({ line, release }) => line.replace(` ${release} `, ` ${release}-backports `));
  for (const sources of [own, [...own, ...backports]]) {
    const apt = aptOf(sources, work);
    // Go on if a mirror fails: another suite may have the package. If none has, the error below says so.
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

/** Debian's suites among those configured for apt, as lines of a sources.list. */
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

/** Options that make apt use these sources, and lists of its own. */
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
    'APT::Sandbox::User': 'root', // the cache may be in a directory that only root can write to
  };
  return Object.entries(settings).flatMap(([key, value]) => ['-o', `${key}=${value}`]);
}

/** The newest package, but not the cloud flavour (it has few modules) or the real-time one. */
function newest(series, found) {
  const pattern = new RegExp(`^linux-image-${series.replace('.', '\\.')}\\.[0-9][^ ]*-amd64(?= )`, 'gm');
  const names = (found.match(pattern) ?? []).filter((name) => !/cloud|-rt-/.test(name));
  return names.sort((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1);
}
