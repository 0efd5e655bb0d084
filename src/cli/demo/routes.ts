/** `netloom demo`: what netloom does, shown without a trace. */
import { buildRouteMap } from '@stricli/core';
import { bridgeDemoCommand } from './bridge.ts';
import { overlayDemoCommand } from './overlay.ts';

export const demoRoutes = buildRouteMap({
  routes: { bridge: bridgeDemoCommand, overlay: overlayDemoCommand },
  defaultCommand: 'bridge',
  docs: { brief: 'Show netloom at work, without changing this machine' },
});
