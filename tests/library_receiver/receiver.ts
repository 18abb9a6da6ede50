// A server that takes the library's webhooks: `node receiver.js PORT`.
// It prints a line of JSON for each one, and for each body that it can't parse.
import 'reflect-metadata';
import { ArgumentsHost, Body, Catch, Controller, Module, Post } from '@nestjs/common';
import { BaseExceptionFilter, HttpAdapterHost, NestFactory } from '@nestjs/core';

declare const process: { argv: string[]; stdout: { write(text: string): void } };

class HashCheckDto {
  stemId!: string;
  userId!: string;
  trackId!: string;
  filepath!: string;
  stageId!: string;
  audio_hash!: string;
  timestamp!: string;
  original_filename!: string;
  status!: string;
}

class AudioResultDto {
  audio_data_hash!: string;
  waveform_data_path!: string;
  file_size!: number;
  duration!: number;
  sample_rate!: number;
  num_peaks!: number;
}

class FailureDto {
  error!: string;
  error_message!: string;
  error_code!: string;
}

class CompletionDto {
  stemId!: string;
  userId!: string;
  trackId!: string;
  upstreamId!: string | null;
  status!: 'SUCCESS' | 'FAILURE';
  result!: AudioResultDto | FailureDto | null;
  timestamp!: string | null;
  original_filename!: string | null;
  processing_time!: number | null;
  audio_wave_path!: string | null;
}

class MixingCompleteDto {
  stageId!: string;
  status!: string;
  mixed_file_path!: string;
  waveform_data_path!: string;
  upstreamId!: string | null;
  stem_count!: number;
  stem_paths!: string[];
  task_id!: string | null;
}

function tell(route: string, body: object): { success: boolean } {
  process.stdout.write(JSON.stringify({ route, body }) + '\n');
  return { success: true };
}

@Controller('webhook')
class WebhookController {
  @Post('hash-check')
  hashCheck(@Body() body: HashCheckDto) {
    return tell('hash-check', body);
  }

  @Post('completion')
  completion(@Body() body: CompletionDto) {
    return tell('completion', body);
  }

  @Post('mixing-complete')
  mixingComplete(@Body() body: MixingCompleteDto) {
    return tell('mixing-complete', body);
  }
}

@Catch()
class Refusals extends BaseExceptionFilter {
  catch(error: unknown, host: ArgumentsHost) {
    process.stdout.write(JSON.stringify({ refused: String(error) }) + '\n');
    super.catch(error, host);
  }
}

@Module({ controllers: [WebhookController] })
class Receiver {}

async function main() {
  const app = await NestFactory.create(Receiver, { logger: ['error'] });
  app.useGlobalFilters(new Refusals(app.get(HttpAdapterHost).httpAdapter));
  await app.listen(Number(process.argv[2]), '127.0.0.1');
  process.stdout.write('ready\n');
}

void main();
