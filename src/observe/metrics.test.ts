import { expect, it } from 'vitest';
import { createMetrics } from './metrics.ts';

it('renders counters, gauges and histograms in the text format', () => {
  const metrics = createMetrics();
  const requests = metrics.counter('r_total', 'Requests.', ['route', 'status']);
  requests.add(['/v1', '200']);
  requests.add(['/v1', '200'], 2);
  metrics.gauge('bytes', 'Bytes.', [], () => [{ labels: [], value: 7 }]);
  metrics.gauge('seen_total', 'Seen.', [], () => [{ labels: [], value: 8 }]);
  const seconds = metrics.histogram('s', 'Seconds.', ['unit'], [0.1, 1]);
  seconds.observe(['a'], 0.05);
  seconds.observe(['a'], 0.5);
  seconds.observe(['a'], 5);
  expect(metrics.render().split('\n')).toEqual([
    '# HELP r_total Requests.',
    '# TYPE r_total counter',
    'r_total{route="/v1",status="200"} 3',
    '# HELP bytes Bytes.',
    '# TYPE bytes gauge',
    'bytes 7',
    '# HELP seen_total Seen.',
    '# TYPE seen_total counter',
    'seen_total 8',
    '# HELP s Seconds.',
    '# TYPE s histogram',
    's_bucket{unit="a",le="0.1"} 1',
    's_bucket{unit="a",le="1"} 2',
    's_bucket{unit="a",le="+Inf"} 3',
    's_sum{unit="a"} 5.55',
    's_count{unit="a"} 3',
    '',
  ]);
});

it('escapes what would break a label', () => {
  const metrics = createMetrics();
  metrics.counter('c', 'C.', ['x']).add(['a"b\\c\nd']);
  expect(metrics.render()).toContain('c{x="a\\"b\\\\c\\nd"} 1');
});
