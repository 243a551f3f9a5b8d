import type { ModelDefinition } from '#catalog/model';
import type { ServiceDefinition } from '#catalog/service';
import type { ModelElsewhere } from '#config/upstreams';

/** A model that the door asks itself, where it is, without a process here that stands for it. */
export interface RemoteModel {
  /** Its name there. */
  readonly model: string;
  /** Where that is, and how its requests are spread over it. */
  readonly places: ModelElsewhere & Required<Pick<ModelElsewhere, 'upstreams'>>;
}

/**
 * Null for a model that is at one address, or here. The servers that it names itself go before those of its engine. An engine
 * that has models loaded and let go at its server is asked at one place: there would be nothing to weigh at several.
 */
export function remoteModel(
  { id, remote = {} }: Pick<ModelDefinition, 'id' | 'remote'>,
  { models, run, weight }: Pick<ServiceDefinition, 'models' | 'run' | 'weight'>,
): RemoteModel | null {
  if (models !== 'remote' || weight !== undefined || remote.url !== undefined) return null;
  const { model = id, keyFile, keyEnv, url: _none, ...own } = remote;
  const said = own.upstreams ? own : run.external;
  if (!said?.upstreams) return null;
  const key = { ...(keyFile !== undefined && { keyFile }), ...(keyEnv !== undefined && { keyEnv }) };
  const upstreams = said.upstreams.map((one) => ({
    ...(one.keyFile === undefined && one.keyEnv === undefined && key),
    ...one,
    url: withoutVersion(one.url),
  }));
  const { url: _one, mirror: _mirror, hedge: _hedge, ...spread } = { url: '', mirror: 0, hedge: 0, ...said };
  return { model, places: { ...spread, upstreams } };
}

/** Every path of the API begins with `/v1`, and so do the addresses that servers give of themselves. */
const withoutVersion = (url: string): string => url.replace(/\/(v1\/?)?$/, '');
