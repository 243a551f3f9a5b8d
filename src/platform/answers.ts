import type { ConfigSource } from '#config/load';
import { createAnswerCache } from '#edge/cache/answers';
import type { AnswerCache } from '#edge/cache/answers';
import type { Clock } from '#kernel/clock';
import type { Closers } from '#kernel/closers';
import type { Metrics } from '#observe/metrics';
import type { Stores } from './stores.ts';

export interface AnswersDeps {
  readonly config: ConfigSource;
  readonly clock: Clock;
  readonly stores: Pick<Stores, 'catalog' | 'models'>;
  readonly metrics: Metrics;
}

/**
 * The answers that are kept. A model whose file changed or went loses its own; what the configuration or a definition says
 * may change any of them, so that they all go.
 */
export function openAnswers({ config, clock, stores, metrics }: AnswersDeps, closers: Closers): AnswerCache {
  const answers = createAnswerCache({
    clock,
    settings: () => config.current().cache,
    version: (model) => stores.models.get(model)?.sha256 ?? '',
  });
  closers.add(config.onChange(() => void answers.clear()));
  closers.add(stores.catalog.onChange(() => void answers.clear()));
  closers.add(stores.models.onChange((model) => void answers.clear({ model })));
  registerAnswers(metrics, answers);
  return answers;
}

function registerAnswers(metrics: Metrics, { counts }: Pick<AnswerCache, 'counts'>): void {
  metrics.gauge(
    'sutaz_cache_requests_total',
    'Requests to models, by how the cache dealt with them.',
    ['outcome'],
    () => Object.entries(counts().dealt).map(([outcome, value]) => ({ labels: [outcome], value })),
  );
  const one = (value: number) => [{ labels: [], value }];
  metrics.gauge('sutaz_cache_bytes', 'What the kept answers take.', [], () => one(counts().bytes));
  metrics.gauge('sutaz_cache_entries', 'Answers that are kept.', [], () => one(counts().entries));
  metrics.gauge('sutaz_cache_evicted_total', 'Answers that made room for others.', [], () => one(counts().evicted));
}
