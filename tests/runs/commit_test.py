import subprocess

import keras_ssl
from keras_ssl.runs import provenance


def test_a_commit_is_dirty_where_code_differs_but_not_where_records_do(
    tmp_path, monkeypatch
):
    package = tmp_path / "keras_ssl/__init__.py"
    package.parent.mkdir()
    package.write_text("")
    monkeypatch.setattr(keras_ssl, "__file__", str(package))
    assert provenance.commit() is None

    def git(*command):
        who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        done = subprocess.run(
            ["git", "-C", tmp_path, *who, *command],
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message=first")
    commit = git("rev-parse", "HEAD")
    assert provenance.commit() == commit
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/table.md").write_text("new")
    assert provenance.commit() == commit
    package.write_text("changed = True\n")
    assert provenance.commit() == f"{commit}-dirty"
    git("commit", "--quiet", "--all", "--message=second")
    assert provenance.commit() == git("rev-parse", "HEAD") != commit
    # A new file may be a part as well.
    package.with_name("new.py").write_text("")
    assert provenance.commit().endswith("-dirty")
