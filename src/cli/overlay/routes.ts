/** `netloom overlay`: networks that span several machines, as this machine sees them. */
import { buildRouteMap } from '@stricli/core';
import { createCommand } from './create.ts';
import { peersCommand } from './peers.ts';
import { reclaimCommand } from './reclaim.ts';
import { statusCommand } from './status.ts';

export const overlayRoutes = buildRouteMap({
  routes: { status: statusCommand, peers: peersCommand, create: createCommand, reclaim: reclaimCommand },
  docs: { brief: 'Show and manage overlays: networks that span machines' },
});
