import test from 'node:test';
import { play } from './play.mjs';
import { shipAndTakeBack } from './shipping.mjs';

test('the main job in the window, on a real API server and Git over https, and a value to the next environment and back', () =>
  play({ driver: 'window', on: 'https', after: shipAndTakeBack }));
