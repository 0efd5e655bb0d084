/**
 * Conflists that cannot be read, and keys in them that look misspelt: an unknown key is ignored, as the specification
 * demands.
 */
import { duplicateKeys } from '../../cni/duplicate-keys.ts';
import { nearest } from '../../nearest.ts';
import { plugins } from '../../plugins/registry.ts';
import type { Check, Finding } from './finding.ts';

/** Keys that libcni removes, and those that any plugin may have. */
const COMMON = [
  'name',
  'type',
  'cniVersion',
  'cniVersions',
  'capabilities',
  'ipam',
  'dns',
  'args',
  'runtimeConfig',
  'prevResult',
  'disableCheck',
  'disableGC',
  'loadOnlyInlinedPlugins',
  'plugins',
];
const IPAM = [
  'type',
  'ranges',
  'routes',
  'subnet',
  'rangeStart',
  'rangeEnd',
  'gateway',
  'dataDir',
  'resolvConf',
  'addresses',
  'dns',
  'daemonSocketPath',
  'request',
  'provide',
];

export const unreadable: Check = ({ faults }) =>
  faults.map(({ file, message }) => ({
    check: 'conflist',
    what: `"${file}" is not a valid network`,
    evidence: message,
    effect: 'runtimes ignore it, or refuse to start containers',
    mend: 'correct or remove the file',
  }));

export const typos: Check = ({ networks }) =>
  networks.flatMap(({ list, file }) => [
    ...duplicateKeys(list.text).map(({ at, key, values }) => ({
      check: 'typo',
      what: `"${[...at, key].join('.')}" in "${file}" is there twice`,
      evidence: `as ${values.join(' and as ')}`,
      effect: 'only the last one counts',
      mend: 'remove one',
    })),
    ...list.plugins.flatMap(({ type, conf }) => {
      const plugin = plugins.get(type);
      if (plugin === undefined) return [];
      const ipam = conf['ipam'];
      return [
        ...slips(file, type, '', conf, [...COMMON, ...plugin.schema.keys()]),
        ...(typeof ipam === 'object' && ipam !== null
          ? [...slips(file, type, 'ipam.', ipam, IPAM), ...nameless(file, ipam)]
          : []),
      ];
    }),
  ]);

/** `"ipam": {}` means no IPAM; an object with keys was meant to name a plugin. */
function nameless(file: string, ipam: object): Finding[] {
  const keys = Object.keys(ipam);
  if (keys.length === 0 || keys.some((key) => key.toLowerCase() === 'type')) return [];
  return [
    {
      check: 'typo',
      what: `"ipam" in "${file}" has no "type"`,
      evidence: `it has ${keys.map((key) => `"${key}"`).join(', ')}`,
      effect: 'containers get no address, without an error',
      mend: 'add "type": "host-local", or the plugin that is meant',
    },
  ];
}

function slips(file: string, type: string, at: string, conf: object, known: readonly string[]): Finding[] {
  const folded = new Set(known.map((key) => key.toLowerCase()));
  return Object.keys(conf).flatMap((key) => {
    const word = key.toLowerCase();
    if (folded.has(word)) return [];
    const meant = nearest(word, known);
    if (meant === undefined) return [];
    return [
      {
        check: 'typo',
        what: `"${at}${key}" in "${file}" looks misspelt`,
        evidence: `the plugin "${type}" has no such key, and has "${at}${meant}"`,
        effect: 'the key is ignored, without an error',
        mend: `change it to "${meant}", if that is meant`,
      },
    ];
  });
}
