// Express, Sequelize and PostgreSQL: a row for each event.
import { Injectable } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { InjectModel, SequelizeModule } from '@nestjs/sequelize';
import { Column, CreatedAt, DataType, Index, Model, Table } from 'sequelize-typescript';
import { Events, serve, SyncEventDto, SyncEventModule } from './sync-event.js';

@Table({ tableName: 'sync_events', updatedAt: false })
class SyncEvent extends Model {
  @Index('sync_events_history')
  @Column(DataType.STRING(128))
  declare device_id: string;

  @Index('sync_events_history')
  @Column(DataType.DATE)
  declare timestamp: Date;

  @Column(DataType.BIGINT)
  declare total_files_synced: number;

  @Column(DataType.BIGINT)
  declare total_errors: number;

  @Column(DataType.DOUBLE)
  declare internet_speed: number;

  @Column(DataType.STRING(128))
  declare event_id: string | null;

  @CreatedAt
  declare received_at: Date;
}

@Injectable()
class Rows extends Events {
  constructor(@InjectModel(SyncEvent) private readonly rows: typeof SyncEvent) {
    super();
  }

  keep(event: SyncEventDto): Promise<SyncEvent> {
    return this.rows.create({ ...event });
  }
}

const database = SequelizeModule.forRoot({
  dialect: 'postgres',
  host: '127.0.0.1',
  port: Number(process.env.PGPORT),
  username: 'bench',
  database: 'postgres',
  models: [SyncEvent],
  synchronize: true,
  autoLoadModels: true,
  logging: false,
  pool: { max: Number(process.env.POOL ?? 20) },
});
const module = SyncEventModule.with(Rows, [database, SequelizeModule.forFeature([SyncEvent])]);
await serve(await NestFactory.create(module, { logger: false }));
