/**
 * The virtual machine: Debian's kernel in qemu, with the host's files and the working tree, unchanged. Software
 * emulation is the default, because it runs everywhere.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { initramfs } from './initramfs.mjs';
import { kernel } from './kernel.mjs';

export const TREE = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

/** A guest that runs longer than this hangs. */
const LIMIT_MINUTES = Number(process.env.NETLOOM_VM_MINUTES ?? 40);
/** NETLOOM_VM_ACCEL=kvm, where KVM works, is 50 times as fast. */
const ACCEL = process.env.NETLOOM_VM_ACCEL ?? 'tcg,thread=multi';
const MEMORY = process.env.NETLOOM_VM_MEMORY ?? '4096';

/**
 * One processor. Emulated processors that share two real ones with other work wait for locks whose holder is not
 * running. With one, Node starts in half the time, and two machines keep two processors busy.
 */
const CPUS = process.env.NETLOOM_VM_CPUS ?? '1';

/**
 * For measurements, and tests that measure: the guest's clock counts its instructions, 4 ns each, and skips idle time.
 * Other work on this machine then changes no figure. A figure is the length of a code path, without the effects of
 * caches and memory.
 */
const COUNTING = ['-accel', 'tcg,thread=single', '-icount', 'shift=2,sleep=off'];

/**
 * Turns off what a boot does not need. Without mitigations a system call changes no page tables, which is expensive to
 * emulate. no_timer_check: the kernel panics if its timer seems to stand still at boot, as it does when this machine
 * does not let the guest run for a while.
 */
const CMDLINE =
  'console=ttyS0 panic=-1 no_timer_check mitigations=off nokaslr audit=0 apparmor=0 tsc=reliable nowatchdog';

/**
 * For tests: everything that can be emulated, except for features that slow an emulated processor down, and without the
 * kernel's hardening. Left out are string copies byte by byte (erms, fsrm), a fifth level of page tables (la57), checks
 * of whose memory is accessed (smap, smep, hardened usercopy), zeroing memory on allocation, and randomized kernel
 * stacks. Three test files took 74 s of a real processor with all this, and 79 without. NB: not for measurements,
 * because code paths would not have the lengths that were measured before.
 */
const LEAN = {
  cpu: 'max,-erms,-fsrm,-la57,-smap,-smep',
  cmdline: 'init_on_alloc=0 randomize_kstack_offset=off hardened_usercopy=off',
};

/**
 * A directory that is shared with the guest: `job` (a bash script) goes in; `log`, `status` and the job's own files
 * come out.
 */
export class Job {
  constructor(script) {
    this.dir = mkdtempSync(join(tmpdir(), 'netloom-vm-'));
    writeFileSync(join(this.dir, 'job'), script);
  }

  /** A file of it, or undefined if the guest left none. */
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
 * Boots a kernel and waits until the guest ends.
 * @param options isInteractive: the console is the terminal, and the job is a shell; isCounting: the guest's clock
 * counts instructions
 * @returns {Promise<string | undefined>} why it did not end regularly
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
