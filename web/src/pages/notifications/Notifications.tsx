import {
  Anchor,
  Button,
  Group,
  Paper,
  SegmentedControl,
  Skeleton,
  Stack,
  Switch,
  Text,
  Title,
} from "@mantine/core";
import { IconBell } from "@tabler/icons-react";
import { useState } from "react";
import { Link, useSearchParams } from "react-router";
import { useChange } from "../../api/queries/groups";
import {
  type Notification,
  notificationActions,
  notificationKeys,
  type Settings,
  useNotificationSettings,
  useNotifications,
} from "../../api/queries/notifications";
import { setBrowserNews, wantsBrowserNews } from "../../app/browserNews";
import { Empty } from "../../ui/Empty";
import { More } from "../../ui/More";
import { inSentence, typeWords } from "../../ui/news";
import { Page } from "../../ui/Page";
import { Problem } from "../../ui/Problem";
import { TimeAgo } from "../../ui/TimeAgo";

export function Component() {
  const [query, setQuery] = useSearchParams();
  const unread = query.get("show") === "unread";
  const list = useNotifications(unread);
  const items = list.data?.pages.flatMap((p) => p.items);
  const readAll = useChange(notificationActions.readAll, notificationKeys.all);
  return (
    <Page
      title="Notifications"
      actions={
        <Button variant="default" loading={readAll.isPending} onClick={() => readAll.mutate(undefined)}>
          Mark all as read
        </Button>
      }
    >
      <SegmentedControl
        aria-label="Which"
        w="fit-content"
        data={[
          { value: "all", label: "All" },
          { value: "unread", label: "Unread" },
        ]}
        value={unread ? "unread" : "all"}
        onChange={(v) => setQuery(v === "unread" ? { show: "unread" } : {}, { replace: true })}
      />
      <Problem error={list.error ?? readAll.error} retry={() => void list.refetch()} />
      <Stack gap="xs">
        {list.isPending && [1, 2, 3].map((n) => <Skeleton key={n} h={56} />)}
        {items?.length === 0 && (
          <Empty icon={IconBell} title={unread ? "You have read everything" : "Nothing has happened yet"}>
            You hear here of invitations and members, of your tasks that end and of your workers.
          </Empty>
        )}
        {items?.map((n) => (
          <Item key={n.id} notification={n} />
        ))}
        <More list={list} label="Show older ones" />
      </Stack>
      <Choices />
    </Page>
  );
}

function Item({ notification: n }: { notification: Notification }) {
  const read = useChange(() => notificationActions.read([n.id]), notificationKeys.all);
  const remove = useChange(() => notificationActions.remove(n.id), notificationKeys.all);
  const { text, to } = inSentence(n);
  return (
    <Paper withBorder p="sm">
      <Group justify="space-between" wrap="nowrap">
        <div>
          <Anchor
            component={Link}
            to={to}
            fw={n.read ? 400 : 600}
            onClick={() => n.read || read.mutate(undefined)}
          >
            {text}
          </Anchor>
          <Text size="xs" c="dimmed">
            <TimeAgo at={n.updated_at} />
            {!n.read && ", unread"}
          </Text>
        </div>
        <Button
          size="compact-xs"
          miw="max-content"
          variant="default"
          aria-label={`Delete: ${text}`}
          onClick={() => remove.mutate(undefined)}
        >
          Delete
        </Button>
      </Group>
    </Paper>
  );
}

/** The settings with a type switched on or off for every group. */
export function withType(s: Settings, type: Notification["type"], on: boolean): Settings {
  const everywhere = s.off.find((o) => o.group === null)?.types ?? [];
  const types = on ? everywhere.filter((t) => t !== type) : [...everywhere, type];
  const others = s.off.filter((o) => o.group !== null);
  return { off: types.length ? [{ group: null, types }, ...others] : others };
}

function Choices() {
  const settings = useNotificationSettings();
  const save = useChange(notificationActions.setSettings, notificationKeys.settings);
  const [browser, setBrowser] = useState(wantsBrowserNews);
  const [refused, setRefused] = useState(false);
  const shown = save.isPending ? save.variables : settings.data;
  const off = shown?.off.find((o) => o.group === null)?.types ?? [];
  return (
    <Stack gap="sm" component="section" aria-label="Settings">
      <Title order={2} size="h4">
        What you want to hear of
      </Title>
      <Switch
        label="Also by the browser, while you look at something else"
        checked={browser}
        onChange={(e) => {
          const on = e.currentTarget.checked;
          void setBrowserNews(on).then((now) => {
            setBrowser(now);
            setRefused(on && !now);
          });
        }}
      />
      {refused && (
        <Text size="sm">Your browser does not allow it for this site. Its settings can change that.</Text>
      )}
      <Problem error={settings.error ?? save.error} />
      {shown ? (
        (Object.keys(typeWords) as Notification["type"][]).map((type) => (
          <Switch
            key={type}
            label={typeWords[type]}
            checked={!off.includes(type)}
            onChange={(e) => save.mutate(withType(shown, type, e.currentTarget.checked))}
          />
        ))
      ) : (
        <Skeleton h={320} />
      )}
    </Stack>
  );
}
