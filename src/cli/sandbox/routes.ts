import { buildRouteMap } from '@stricli/core';
import { createCommand } from './create.ts';
import { listCommand } from './list.ts';
import { removeCommand } from './remove.ts';

/** `netloom sandbox …` */
export const sandboxRoutes = buildRouteMap({
  routes: { create: createCommand, ls: listCommand, rm: removeCommand },
  aliases: { list: 'ls', remove: 'rm' },
  docs: { brief: 'Create, list and remove sandboxes: network namespaces without a container' },
});
