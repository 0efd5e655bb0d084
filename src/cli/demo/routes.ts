/** `netloom demo`: what netloom does, shown without a trace. */
import { buildRouteMap } from '@stricli/core';
import { bridgeDemoCommand } from './bridge.ts';
import { overlayDemoCommand } from './overlay.ts';

export const demoRoutes = buildRouteMap({
  routes: { bridge: bridgeDemoCommand, overlay: overlayDemoCommand },
  defaultCommand: 'bridge',
  docs: { brief: 'Show what netloom does, in namespaces of its own: two containers on a bridge, or two machines' },
});
