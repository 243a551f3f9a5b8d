import type {
  ApiCatalog,
  ApiConsoleLink,
  ApiDefinition,
  ApiEvent,
  ApiLedger,
  ApiModelDetails,
  ApiModelList,
  ApiProblem,
  ApiProgress,
  ApiPulled,
  ApiPullProgress,
  ApiRestarted,
  ApiState,
  ApiStopping,
  ApiUnit,
} from '../api.ts';
import type { ApiAccount, ApiPlan, ApiSavings, ApiUpstreams, ApiWhy } from '../explanations.ts';
import type { ApiJob, ApiJobAsk, ApiJobList, ApiJobOutput } from '../jobs-api.ts';
import type { ApiEnvironments, ApiPruneAsk, ApiPruned } from '../environments-api.ts';
import type { ApiCache, ApiCleared } from '../cache-api.ts';
import type { ApiMap } from '../map-api.ts';
import type { ApiLimits } from '../limits-api.ts';
import type { ApiAuditList, ApiKeyAsk, ApiKeyList, ApiMadeKey, ApiRotateAsk } from '../security-api.ts';
import type {
  ApiCollectAsk,
  ApiCollected,
  ApiImport,
  ApiImportAsk,
  ApiModelVersions,
  ApiRollbackAsk,
  ApiVerification,
  ApiVerifyAsk,
  ApiView,
  ApiViewAsk,
} from '../store-api.ts';

/** JSON whose form is another's: OpenAPI says what this description looks like. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** The types that bodies, answers and events of the control API have, by the names under which operations speak of them. */
export interface Wire {
  readonly ApiAccount: ApiAccount;
  readonly ApiAuditList: ApiAuditList;
  readonly ApiCache: ApiCache;
  readonly ApiCatalog: ApiCatalog;
  readonly ApiCleared: ApiCleared;
  readonly ApiCollectAsk: ApiCollectAsk;
  readonly ApiCollected: ApiCollected;
  readonly ApiConsoleLink: ApiConsoleLink;
  readonly ApiDefinition: ApiDefinition;
  readonly ApiEnvironments: ApiEnvironments;
  readonly ApiEvent: ApiEvent;
  readonly ApiImport: ApiImport;
  readonly ApiImportAsk: ApiImportAsk;
  readonly ApiJob: ApiJob;
  readonly ApiJobAsk: ApiJobAsk;
  readonly ApiJobList: ApiJobList;
  readonly ApiJobOutput: ApiJobOutput;
  readonly ApiKeyAsk: ApiKeyAsk;
  readonly ApiKeyList: ApiKeyList;
  readonly ApiLedger: ApiLedger;
  readonly ApiLimits: ApiLimits;
  readonly ApiMadeKey: ApiMadeKey;
  readonly ApiMap: ApiMap;
  readonly ApiModelDetails: ApiModelDetails;
  readonly ApiModelList: ApiModelList;
  readonly ApiModelVersions: ApiModelVersions;
  readonly ApiPlan: ApiPlan;
  readonly ApiProblem: ApiProblem;
  readonly ApiProgress: ApiProgress;
  readonly ApiPruneAsk: ApiPruneAsk;
  readonly ApiPruned: ApiPruned;
  readonly ApiPulled: ApiPulled;
  readonly ApiPullProgress: ApiPullProgress;
  readonly ApiRestarted: ApiRestarted;
  readonly ApiRollbackAsk: ApiRollbackAsk;
  readonly ApiRotateAsk: ApiRotateAsk;
  readonly ApiSavings: ApiSavings;
  readonly ApiState: ApiState;
  readonly ApiStopping: ApiStopping;
  readonly ApiUnit: ApiUnit;
  readonly ApiUpstreams: ApiUpstreams;
  readonly ApiVerification: ApiVerification;
  readonly ApiVerifyAsk: ApiVerifyAsk;
  readonly ApiView: ApiView;
  readonly ApiViewAsk: ApiViewAsk;
  readonly ApiWhy: ApiWhy;
  readonly JsonObject: JsonObject;
}

export type WireName = keyof Wire;
