import { z } from 'zod';
import { asyncNotifMax } from '../../worlds/simulated/index.js';
import type { Duration } from '../duration.js';
import { SERVICES, type ServiceName } from '../scenario.js';
import {
  drawnTime,
  fields,
  isTrue,
  oneOf,
  period,
  reference,
  saysMissing,
  step,
  time,
  wholeNumber,
} from './schema-parts.js';

/** The steps of commands, bottom halves, services and clients. */

export const serviceNames = Object.keys(SERVICES) as [ServiceName, ...ServiceName[]];
export const service = oneOf(serviceNames);

/** Higher values are reserved for sleeping threads of secure world. */
const notification = wholeNumber(1, asyncNotifMax);
const awaited = fields('an await', { notification, timeout: period.optional() });

/** Steps with a lock held; they may hold further locks. */
interface HoldFile<Step> {
  readonly lock: string;
  readonly steps: readonly Step[];
}

export interface InvokeFile {
  readonly application: string;
  readonly command: string;
}

export interface ApplicationStepFile {
  readonly compute?: Duration | undefined;
  readonly wait?: Duration | undefined;
  readonly rpc?: ServiceName | undefined;
  readonly await?: number | { notification: number; timeout?: number | undefined } | undefined;
  readonly notify?: number | undefined;
  readonly invoke?: InvokeFile | undefined;
  readonly hold?: HoldFile<ApplicationStepFile> | undefined;
}

export interface ServiceStepFile {
  readonly wait?: Duration | undefined;
  readonly invoke?: { readonly client: string; readonly command: string } | undefined;
  readonly never?: true | undefined;
  readonly hold?: HoldFile<ServiceStepFile> | undefined;
}

export interface ClientStepFile {
  readonly invoke?: string | InvokeFile | undefined;
  readonly wait?: Duration | undefined;
  readonly until?: number | undefined;
  readonly compute?: Duration | undefined;
  readonly hold?: HoldFile<ClientStepFile> | undefined;
  readonly notify?: 'bottom-half' | number | undefined;
  readonly close?: true | undefined;
  readonly free?: true | undefined;
  readonly system?: true | undefined;
  readonly open?: true | undefined;
}

const hold = <Step>(steps: () => z.ZodType<readonly Step[]>): z.ZodType<HoldFile<Step>> =>
  z.lazy(() => fields('a hold', { lock: reference, steps: steps() }) as z.ZodType<HoldFile<Step>>);

const invoke = fields('an invoke', { application: reference, command: reference });

export const applicationSteps: z.ZodType<readonly ApplicationStepFile[]> = z.array(
  step('a step of a command', {
    compute: drawnTime,
    wait: drawnTime,
    rpc: service,
    await: z.union([notification, awaited], {
      error: saysMissing(`a whole number from 1 to ${asyncNotifMax}, or { notification, timeout }`),
    }),
    notify: notification,
    invoke,
    hold: hold(() => applicationSteps),
  }),
  { error: saysMissing('a list of steps, such as [{ compute: 1ms }, { rpc: rpmb }]') },
);

export const bottomHalfSteps = z.array(step('a step of a bottom half', { compute: drawnTime, notify: notification }), {
  error: saysMissing('a list of steps, such as [{ compute: 1ms }, { notify: 7 }]'),
});

export const serviceSteps: z.ZodType<readonly ServiceStepFile[]> = z.array(
  step('a step of a service', {
    wait: drawnTime,
    invoke: fields('an invoke of a service', { client: reference, command: reference }),
    never: isTrue,
    hold: hold(() => serviceSteps),
  }),
  { error: saysMissing('a list of steps, such as [{ wait: 1ms }]') },
);

/** The notification of a client that stands for a device of secure world. */
const interruptNotification = z.union([z.literal('bottom-half'), notification], {
  error: saysMissing(`bottom-half, or a whole number from 1 to ${asyncNotifMax}`),
});

export const clientSteps: z.ZodType<readonly ClientStepFile[]> = z
  .array(
    step('a step of a client', {
      invoke: z.union([reference, invoke], {
        error: saysMissing('the name of a command, or { application, command } if it has several applications'),
      }),
      wait: drawnTime,
      until: time,
      compute: drawnTime,
      hold: hold(() => clientSteps),
      notify: interruptNotification,
      close: isTrue,
      free: isTrue,
      system: isTrue,
      open: isTrue,
    }),
    { error: saysMissing('a list of steps, such as [{ invoke: write }]') },
  )
  .min(1, { error: 'expected at least one step' });
