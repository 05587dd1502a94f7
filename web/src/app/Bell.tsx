import {
  ActionIcon,
  Button,
  Divider,
  Group,
  Indicator,
  Popover,
  Stack,
  Text,
  UnstyledButton,
} from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { notifications as toasts } from "@mantine/notifications";
import { IconBell } from "@tabler/icons-react";
import { Link, useNavigate } from "react-router";
import { useChange } from "../api/queries/groups";
import {
  type Notification,
  notificationActions,
  notificationKeys,
  useLatest,
  useLiveNotifications,
} from "../api/queries/notifications";
import { count } from "../ui/format";
import { inSentence } from "../ui/news";
import { TimeAgo } from "../ui/TimeAgo";
import { showInBrowser } from "./browserNews";

/** The bell: how many are unread, the newest few, and a toast for each that comes. */
export function Bell() {
  const [open, { close, toggle }] = useDisclosure();
  const navigate = useNavigate();
  const latest = useLatest().data;
  const read = useChange((ids: string[]) => notificationActions.read(ids), notificationKeys.all);
  const readAll = useChange(notificationActions.readAll, notificationKeys.all);
  useLiveNotifications((n) => {
    const { text, to } = inSentence(n);
    toasts.show({ id: n.id, message: text, onClick: () => void navigate(to), style: { cursor: "pointer" } });
    showInBrowser(n.id, text, () => void navigate(to));
  });
  const unread = latest?.unread ?? 0;
  const go = (n: Notification) => {
    close();
    if (!n.read) read.mutate([n.id]);
    void navigate(inSentence(n).to);
  };
  return (
    <Popover opened={open} onChange={close} position="bottom-end" width={360} trapFocus>
      <Indicator
        label={unread > 99 ? "99+" : unread}
        disabled={unread === 0}
        size={16}
        color="red.8"
        offset={4}
      >
        <Popover.Target>
          <ActionIcon
            variant="subtle"
            color="gray"
            c="var(--mantine-color-text)"
            size="lg"
            onClick={toggle}
            aria-label={unread ? `Notifications, ${unread} unread` : "Notifications"}
          >
            <IconBell size={20} />
          </ActionIcon>
        </Popover.Target>
      </Indicator>
      <Popover.Dropdown p={0} aria-label="Notifications">
        <Group justify="space-between" wrap="nowrap" p="xs">
          <Text fw={600}>{unread ? `${count(unread)} unread` : "Notifications"}</Text>
          <Button
            size="compact-xs"
            variant="default"
            disabled={unread === 0}
            onClick={() => readAll.mutate(undefined)}
          >
            Mark all as read
          </Button>
        </Group>
        <Divider />
        <Stack gap={0} mah={400} style={{ overflowY: "auto" }}>
          {latest?.items.length === 0 && (
            <Text p="md" c="dimmed" size="sm">
              Nothing yet. You hear here of invitations, of your tasks that end and of your workers.
            </Text>
          )}
          {latest?.items.map((n) => (
            <UnstyledButton key={n.id} p="xs" onClick={() => go(n)}>
              <Text size="sm" fw={n.read ? 400 : 600}>
                {inSentence(n).text}
              </Text>
              <Text size="xs" c="dimmed">
                <TimeAgo at={n.updated_at} />
              </Text>
            </UnstyledButton>
          ))}
        </Stack>
        <Divider />
        <Button
          component={Link}
          to="/notifications"
          variant="subtle"
          fullWidth
          onClick={close}
          c="var(--mantine-color-anchor)"
        >
          All notifications and settings
        </Button>
      </Popover.Dropdown>
    </Popover>
  );
}
