/** `netloom demo`: shows what netloom does, leaving nothing behind. */
import { buildRouteMap } from '@stricli/core';
import { bridgeDemoCommand } from './bridge.ts';
import { overlayDemoCommand } from './overlay.ts';

export const demoRoutes = buildRouteMap({
  routes: { bridge: bridgeDemoCommand, overlay: overlayDemoCommand },
  defaultCommand: 'bridge',
  docs: { brief: 'Show netloom at work, without changing this machine' },
});
