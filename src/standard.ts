import type { DriverHost } from '#contracts/driver';
import runtimeDocker, { whyNoEngine } from '#drivers/runtime/docker';
import runtimeProcess from '#drivers/runtime/process';
import { sqliteState } from '#drivers/state/sqlite';
import type { Drivers } from './app.ts';

/** The embedded drivers: what a platform needs that has nothing but Node. */
export const standardDrivers = (host: DriverHost): Drivers => ({
  openState: (path) => sqliteState.open({ path }, host),
  openRuntime: () => runtimeProcess.open({}, host),
  openContainers: (owner) => runtimeDocker.open({ owner }, host),
  whyNoContainers: () => whyNoEngine(process.env),
});
