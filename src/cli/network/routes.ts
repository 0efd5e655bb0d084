import { buildRouteMap } from '@stricli/core';
import { createCommand } from './create.ts';
import { inspectCommand } from './inspect.ts';
import { listCommand } from './list.ts';
import { removeCommand } from './remove.ts';
import { statusCommand } from './status.ts';

/** `netloom network …` */
export const networkRoutes = buildRouteMap({
  routes: { create: createCommand, ls: listCommand, inspect: inspectCommand, rm: removeCommand, status: statusCommand },
  aliases: { list: 'ls', remove: 'rm' },
  docs: { brief: 'Create, list and remove networks' },
});
