/**
 * The virtual machine: Debian's kernel in qemu, with the host's files and the working tree as they are. Software
 * emulation by default, which runs everywhere.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { initramfs } from './initramfs.mjs';
import { kernel } from './kernel.mjs';

export const TREE = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

/** A guest that has not ended by then hangs. */
const LIMIT_MINUTES = Number(process.env.NETLOOM_VM_MINUTES ?? 40);
/** KVM where it works is 50 times as fast: NETLOOM_VM_ACCEL=kvm. */
const ACCEL = process.env.NETLOOM_VM_ACCEL ?? 'tcg,thread=multi';
const MEMORY = process.env.NETLOOM_VM_MEMORY ?? '4096';

/**
 * One: emulated processors that share two real ones with others wait for locks that a processor holds which does not
 * run. With one, starting Node takes half as long; two machines keep two processors busy.
 */
const CPUS = process.env.NETLOOM_VM_CPUS ?? '1';

/**
 * For measuring, and for tests that do: a clock of the guest that counts its instructions, 4 ns each, and does not wait
 * where nothing runs. What else this machine does moves no figure then; a figure is the length of a way, without what
 * caches and memory add to it.
 */
const COUNTING = ['-accel', 'tcg,thread=single', '-icount', 'shift=2,sleep=off'];

/**
 * What a boot does not need. Without mitigations a system call changes no page tables, which is dear to emulate. The
 * kernel panics where its timer seems to stand still at first, which is so when this machine does not let the guest run
 * for a while: it is not to look.
 */
const CMDLINE =
  'console=ttyS0 panic=-1 no_timer_check mitigations=off nokaslr audit=0 apparmor=0 tsc=reliable nowatchdog';

/**
 * For tests: everything that can be emulated, but for what an emulated processor is slower with, and without the
 * kernel's second looks. Those are strings that are copied byte by byte (erms, fsrm), a fifth level of page tables,
 * looks at whose memory is used, memory that is emptied before anybody asks, and stacks that are where nobody expects
 * them. Three test files took 74 s of a real processor with it, and 79 without. NB: not for measuring, where ways would
 * have another length than those that were measured.
 */
const LEAN = {
  cpu: 'max,-erms,-fsrm,-la57,-smap,-smep',
  cmdline: 'init_on_alloc=0 randomize_kstack_offset=off hardened_usercopy=off',
};

/**
 * A directory that the guest shares: `job` goes in (a bash script), `log`, `status` and what the job puts there come
 * out.
 */
export class Job {
  constructor(script) {
    this.dir = mkdtempSync(join(tmpdir(), 'netloom-vm-'));
    writeFileSync(join(this.dir, 'job'), script);
  }

  /** A file of it, or undefined where the guest left none. */
  read(name) {
    try {
      return readFileSync(join(this.dir, name), 'utf8');
    } catch {
      return undefined;
    }
  }

  [Symbol.dispose]() {
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/**
 * Boots a kernel and waits for its end.
 * @param options isInteractive: the console is the terminal's, and the job is a shell; isCounting: its clock counts
 * instructions
 * @returns {Promise<string | undefined>} why it did not come to its end
 */
export async function boot(series, job, { isInteractive = false, isCounting = false } = {}) {
  const linux = kernel(series);
  const settings = { TREE, VERSION: linux.version, SHELL_WANTED: isInteractive ? 'yes' : '' };
  const quoted = Object.entries(settings).map(([key, value]) => `${key}='${value.replaceAll("'", "'\\''")}'\n`);
  writeFileSync(join(job.dir, 'settings'), quoted.join(''));
  const serial = isInteractive
    ? ['-serial', 'mon:stdio']
    : ['-serial', `file:${join(job.dir, 'console')}`, '-monitor', 'none'];
  const cmdline = [CMDLINE, ...(isCounting ? [] : [LEAN.cmdline]), ...(isInteractive ? ['quiet'] : [])];
  const args = [
    ...(isCounting ? COUNTING : ['-accel', ACCEL]),
    ...['-cpu', isCounting ? 'max' : ACCEL === 'kvm' ? 'host' : LEAN.cpu, '-m', MEMORY],
    ...['-smp', isCounting ? '1' : CPUS],
    ...['-display', 'none', '-no-reboot', '-nodefaults', ...serial],
    ...['-kernel', linux.image, '-initrd', initramfs(linux), '-append', cmdline.join(' ')],
    ...share('root', '/', true),
    ...share('tree', TREE, true),
    ...share('modules', linux.modules, true),
    ...share('job', job.dir, false),
  ];
  return run(args, isInteractive);
}

function share(tag, path, isReadOnly) {
  const options = `local,path=${path.replaceAll(',', ',,')},mount_tag=${tag},security_model=none,multidevs=remap`;
  return ['-virtfs', isReadOnly ? `${options},readonly=on` : options];
}

function run(args, isInteractive) {
  return new Promise((resolve) => {
    const child = spawn('qemu-system-x86_64', args, {
      stdio: [isInteractive ? 'inherit' : 'ignore', 'inherit', 'inherit'],
    });
    let reason;
    const limit = setTimeout(() => {
      reason = `it was still running after ${LIMIT_MINUTES} minutes (NETLOOM_VM_MINUTES)`;
      child.kill('SIGKILL');
    }, LIMIT_MINUTES * 60_000);
    if (isInteractive) clearTimeout(limit);
    const end = () => child.kill('SIGKILL');
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, end);
    child.on('error', (error) => {
      clearTimeout(limit);
      resolve(`cannot execute qemu-system-x86_64: ${error.message} (scripts/setup-test installs it)`);
    });
    child.on('exit', (status, signal) => {
      clearTimeout(limit);
      for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.removeListener(name, end);
      resolve(reason ?? (status === 0 ? undefined : `qemu left with ${status ?? signal}`));
    });
  });
}
