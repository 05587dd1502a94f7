import { Group, Skeleton, Stack, Table, Title } from "@mantine/core";
import { IconHistory } from "@tabler/icons-react";
import { useNavigate, useParams } from "react-router";
import { ApiError } from "../../api/error";
import { useChange } from "../../api/queries/groups";
import {
  useLiveWorkers,
  useOwnWorker,
  useWorkerHistory,
  workerActions,
  workerKeys,
} from "../../api/queries/workers";
import { Lost } from "../../app/RouteError";
import { ConfirmButton } from "../../ui/ConfirmButton";
import { Empty } from "../../ui/Empty";
import { count, seconds } from "../../ui/format";
import { Listing } from "../../ui/Listing";
import { Page } from "../../ui/Page";
import { Problem } from "../../ui/Problem";
import { WorkerState } from "../../ui/WorkerState";
import { WorkerSettingsForm } from "./WorkerSettings";

export function Component() {
  const { worker: id = "" } = useParams();
  const navigate = useNavigate();
  useLiveWorkers();
  const worker = useOwnWorker(id);
  const forget = useChange(() => workerActions.forget(id), workerKeys.list);
  if (worker.error instanceof ApiError && worker.error.status === 404) return <Lost />;
  const w = worker.data;
  return (
    <Page
      title={w?.name ?? "Worker"}
      heading={
        w && (
          <Group gap="sm">
            <Title order={1} size="h2">
              {w.name}
            </Title>
            <WorkerState state={w.state} idle={w.idle_reason} />
          </Group>
        )
      }
      actions={
        w?.state === "away" && (
          <ConfirmButton
            variant="default"
            title={`Forget ${w.name}?`}
            confirm="Forget it"
            message="Its settings and history go. It may connect again, as a new one."
            action={async () => {
              await forget.mutateAsync();
              await navigate("/workers");
            }}
          >
            Forget it
          </ConfirmButton>
        )
      }
    >
      <Problem error={worker.error} retry={() => void worker.refetch()} />
      {w ? <WorkerSettingsForm key={w.id} worker={w} /> : <Skeleton h={320} />}
      <History id={id} />
    </Page>
  );
}

function History({ id }: { id: string }) {
  const history = useWorkerHistory(id, 30);
  return (
    <Stack>
      <Title order={2} size="h4">
        What it did in the last 30 days
      </Title>
      <Listing
        of={history}
        items={history.data?.items}
        label="History"
        columns={["Day (UTC)", "Group", "Submitted by", "Tasks", "Succeeded", "Failed", "Time"]}
        empty={
          <Empty icon={IconHistory} title="No task has ended here yet">
            Each task that ends on this worker counts here, by day, group and who submitted it.
          </Empty>
        }
        row={(d) => (
          <Table.Tr key={`${d.day} ${d.group.id} ${d.member.id}`}>
            <Table.Td style={{ whiteSpace: "nowrap" }}>{d.day}</Table.Td>
            <Table.Td>{d.group.name}</Table.Td>
            <Table.Td>{d.member.username}</Table.Td>
            <Table.Td>{count(d.tasks)}</Table.Td>
            <Table.Td>{count(d.succeeded)}</Table.Td>
            <Table.Td>{count(d.failed)}</Table.Td>
            <Table.Td>{seconds(d.run_s)}</Table.Td>
          </Table.Tr>
        )}
      />
    </Stack>
  );
}
