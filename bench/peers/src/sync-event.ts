// The route that all Nest peers have, with the rules of docs/http-api.md.
import 'reflect-metadata';
import { Body, Controller, type DynamicModule, Inject, Module, Post, ValidationPipe } from '@nestjs/common';
import type { INestApplication, Type } from '@nestjs/common';
import { IsInt, IsISO8601, IsNumber, IsOptional, IsString, Length, Max, Min } from 'class-validator';

export class SyncEventDto {
  @IsString()
  @Length(1, 128)
  device_id!: string;

  @IsISO8601({ strict: true })
  timestamp!: string;

  @IsInt()
  @Min(0)
  @Max(Number.MAX_SAFE_INTEGER)
  total_files_synced!: number;

  @IsInt()
  @Min(0)
  @Max(Number.MAX_SAFE_INTEGER)
  total_errors!: number;

  @IsNumber()
  @Min(0)
  @Max(1e12)
  internet_speed!: number;

  @IsOptional()
  @IsString()
  @Length(1, 128)
  event_id?: string;
}

/** What becomes of an event that is valid. */
export abstract class Events {
  abstract keep(event: SyncEventDto): Promise<object> | object;
}

/** Answers without keeping anything. */
export class Nowhere extends Events {
  keep(event: SyncEventDto): object {
    return { ...event, received_at: new Date() };
  }
}

@Controller('api/sync-event')
class SyncEventController {
  constructor(@Inject(Events) private readonly events: Events) {}

  @Post()
  create(@Body() event: SyncEventDto): Promise<object> | object {
    return this.events.keep(event);
  }
}

@Module({})
export class SyncEventModule {
  static with(events: Type<Events>, imports: DynamicModule[] = []): DynamicModule {
    return {
      module: SyncEventModule,
      imports,
      controllers: [SyncEventController],
      providers: [{ provide: Events, useClass: events }],
    };
  }
}

export async function serve(app: INestApplication): Promise<void> {
  app.useGlobalPipes(new ValidationPipe({ whitelist: true, forbidNonWhitelisted: true }));
  await app.listen(Number(process.env.PORT), '127.0.0.1');
}
