import type { EtcdMembership } from '../overlay/etcd/settings.ts';
import type { Paths } from '../paths.ts';
import { checkConf } from '../plugins/overlay/conf.ts';
import { overlayConfs } from './overlays.ts';

/** The overlays of this machine's conflists whose nodes are in etcd. */
export function etcdMemberships(paths: Paths): EtcdMembership[] {
  return overlayConfs(paths).flatMap((conf) => {
    const { source } = checkConf(conf);
    return 'etcd' in source ? [source.etcd] : [];
  });
}
